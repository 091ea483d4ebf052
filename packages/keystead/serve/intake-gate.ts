import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';

/** A parcel costs keyd half a second at most; more than this at once would only wait for it. */
const MOST_AT_ONCE = 2;
/** Addresses that are remembered: the oldest are forgotten first. */
const MOST_ADDRESSES = 1024;
/** So many parcels that were refused are borne from one address in a minute. */
const MOST_REFUSED = 20;
const WINDOW_MS = 60_000;

/**
 * Bounds what anybody costs headquarters who has not yet proven to be a factory: a few parcels at a time, and no more
 * from where only refused ones came. A factory's own parcels are good and never counted.
 */
export class IntakeGate {
  readonly #clock: Clock;
  readonly #refused = new Map<string, { since: number; count: number }>();
  #inside = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @throws KeysteadError `consignment.busy`; what `work` throws. */
  async through<T>(from: string, work: () => Promise<T>): Promise<T> {
    const now = this.#clock.now().getTime();
    const known = this.#refused.get(from);
    if (known !== undefined && now - known.since < WINDOW_MS && known.count >= MOST_REFUSED) {
      throw new KeysteadError('consignment.busy', { field: 'address', seen: `${known.count} refused parcels` });
    }
    if (this.#inside >= MOST_AT_ONCE) {
      throw new KeysteadError('consignment.busy', { field: 'consignments', seen: `${this.#inside} at once` });
    }
    this.#inside += 1;
    try {
      return await work();
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') this.#count(from, now);
      throw error;
    } finally {
      this.#inside -= 1;
    }
  }

  #count(from: string, now: number): void {
    const known = this.#refused.get(from);
    if (known !== undefined && now - known.since < WINDOW_MS) {
      known.count += 1;
      return;
    }
    this.#refused.delete(from);
    if (this.#refused.size >= MOST_ADDRESSES) this.#refused.delete(this.#refused.keys().next().value ?? '');
    this.#refused.set(from, { since: now, count: 1 });
  }
}
