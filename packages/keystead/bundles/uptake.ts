import type { Clock } from '@keystead/core/clock';
import type { Store, UptakeRow } from '../store/index.ts';

/** What a device says that it goes by. Hashes are hex. */
export interface UptakeReport {
  readonly bundle: { readonly version: number; readonly sha256: string } | null;
  readonly filter: string | null;
  readonly firmware: {
    readonly product: string;
    readonly version: string;
    readonly securityCounter: number | null;
  } | null;
}

/**
 * What each device said last that it goes by. It is what the device says: whoever holds its key says what they like, so
 * nothing is decided by it but who is waited for. REQ-KEY-ROT-03
 */
export class Uptake {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Durable when it resolves. */
  async report(deviceId: string, { bundle, filter, firmware }: UptakeReport): Promise<void> {
    const row: UptakeRow = {
      deviceId,
      bundleVersion: bundle?.version ?? null,
      bundleSha256: bundle?.sha256 ?? null,
      filterSha256: filter,
      firmwareProduct: firmware?.product ?? null,
      firmwareVersion: firmware?.version ?? null,
      securityCounter: firmware?.securityCounter ?? null,
      reportedAt: this.#clock.now().getTime(),
    };
    await this.#store.commit((tx) => tx.uptake.put(row));
  }

  of(deviceId: string): UptakeRow | undefined {
    return this.#store.read(({ uptake }) => uptake.of(deviceId));
  }

  byVersion(): { bundleVersion: number | null; devices: number }[] {
    return this.#store.read(({ uptake }) => uptake.byVersion());
  }
}
