/** What the status page shows: counts, never contents. */
export interface Tally {
  readonly connections: number;
  readonly sessions: number;
  readonly requests: number;
  readonly echoes: number;
  readonly refusedTotal: number;
  /** Refusals by the rule that refused. */
  readonly refused: Readonly<Record<string, number>>;
  /** By device id. */
  readonly devices: Readonly<
    Record<string, { readonly requests: number; readonly refused: number; readonly lastRule?: string }>
  >;
}

/** Most devices listed on the status page. */
const MOST_DEVICES = 10_000;

export class Counts {
  #sessions = 0;
  #requests = 0;
  #echoes = 0;
  readonly #refused = new Map<string, number>();
  readonly #devices = new Map<string, { requests: number; refused: number; lastRule?: string }>();

  request(deviceId: string): void {
    this.#requests += 1;
    const device = this.#device(deviceId);
    if (device !== undefined) device.requests += 1;
  }

  session(): void {
    this.#sessions += 1;
  }

  echo(): void {
    this.#echoes += 1;
  }

  refusal(rule: string, deviceId: string | undefined): void {
    this.#refused.set(rule, (this.#refused.get(rule) ?? 0) + 1);
    const device = deviceId === undefined ? undefined : this.#device(deviceId);
    if (device === undefined) return;
    device.refused += 1;
    device.lastRule = rule;
  }

  read(connections: number): Tally {
    return {
      connections,
      sessions: this.#sessions,
      requests: this.#requests,
      echoes: this.#echoes,
      refusedTotal: [...this.#refused.values()].reduce((sum, count) => sum + count, 0),
      refused: Object.fromEntries(this.#refused),
      devices: Object.fromEntries(this.#devices),
    };
  }

  #device(deviceId: string): { requests: number; refused: number; lastRule?: string } | undefined {
    const known = this.#devices.get(deviceId);
    if (known !== undefined || this.#devices.size >= MOST_DEVICES) return known;
    const made = { requests: 0, refused: 0 };
    this.#devices.set(deviceId, made);
    return made;
  }
}
