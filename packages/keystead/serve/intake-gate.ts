import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';

/** A parcel costs keyd half a second at most; more than this at once would only wait for it. */
const MOST_AT_ONCE = 2;
/** So many bodies of a parcel are read at once, each of up to 6 MiB, and so many of them from one address. */
const MOST_READ = 16;
const MOST_READ_FROM_ONE = 4;
/** Addresses that are remembered: the oldest are forgotten first. */
const MOST_ADDRESSES = 1024;
/** So many parcels that were refused are borne from one address in a minute. */
const MOST_REFUSED = 20;
const WINDOW_MS = 60_000;

/**
 * Bounds what anybody costs headquarters who has not yet proven to be a factory: a few bodies are read and fewer parcels
 * judged at a time, and nothing is read from where only refused ones came. A factory's own parcels are good and never
 * counted.
 */
export class IntakeGate {
  readonly #clock: Clock;
  readonly #refused = new Map<string, { since: number; count: number }>();
  /** How many bodies are being read, by address. */
  readonly #reading = new Map<string, number>();
  #bodies = 0;
  #inside = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Lets the body of a parcel be read. Asked before the first octet of it.
   * @returns what ends it, with whether the parcel was refused for what it is.
   * @throws KeysteadError `consignment.busy`.
   */
  admit(from: string): (refused: boolean) => void {
    const now = this.#clock.now().getTime();
    const known = this.#refused.get(from);
    if (known !== undefined && isWithin(known, now) && known.count >= MOST_REFUSED) {
      throw new KeysteadError('consignment.busy', { field: 'address', seen: `${known.count} refused parcels` });
    }
    const own = this.#reading.get(from) ?? 0;
    if (this.#bodies >= MOST_READ || own >= MOST_READ_FROM_ONE) {
      throw new KeysteadError('consignment.busy', { field: 'consignments', seen: `${this.#bodies} are being read` });
    }
    this.#bodies += 1;
    this.#reading.set(from, own + 1);
    let left = false;
    return (refused) => {
      if (left) return;
      left = true;
      this.#bodies -= 1;
      const rest = (this.#reading.get(from) ?? 1) - 1;
      if (rest === 0) this.#reading.delete(from);
      else this.#reading.set(from, rest);
      if (refused) this.#count(from, this.#clock.now().getTime());
    };
  }

  /** @throws KeysteadError `consignment.busy`; what `work` throws. */
  async through<T>(work: () => Promise<T>): Promise<T> {
    if (this.#inside >= MOST_AT_ONCE) {
      throw new KeysteadError('consignment.busy', { field: 'consignments', seen: `${this.#inside} at once` });
    }
    this.#inside += 1;
    try {
      return await work();
    } finally {
      this.#inside -= 1;
    }
  }

  #count(from: string, now: number): void {
    const known = this.#refused.get(from);
    if (known !== undefined && isWithin(known, now)) {
      known.count += 1;
      return;
    }
    this.#refused.delete(from);
    if (this.#refused.size >= MOST_ADDRESSES) this.#refused.delete(this.#refused.keys().next().value ?? '');
    this.#refused.set(from, { since: now, count: 1 });
  }
}

/** A clock that was set back ends a window too: else nobody would be heard until it has caught up. */
const isWithin = ({ since }: { readonly since: number }, now: number): boolean =>
  now >= since && now - since < WINDOW_MS;
