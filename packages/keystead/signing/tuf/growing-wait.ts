/** The first wait: a timestamp is good for a minute at the least. */
const FIRST_MS = 10_000;
/** Of what is tried again before it ends: a service that comes back in half of that time is found before it ends. */
const PARTS = 8;
/** How long to wait before something is tried again: 10 seconds, then twice as long each time, 5 minutes at the most. */
export class GrowingWait {
  /** No longer, so that what was away is found soon after it is back. */
  static readonly MOST_MS = 300_000;
  #next = FIRST_MS;

  /**
   * Milliseconds.
   * @param good how long what is renewed is good for, milliseconds: of what is good for minutes, 5 of them are too many.
   */
  next(good = Number.POSITIVE_INFINITY): number {
    const wait = Math.min(this.#next, Math.max(FIRST_MS, good / PARTS));
    this.#next = Math.min(wait * 2, GrowingWait.MOST_MS);
    return wait;
  }

  /** It went well: the next wait is the first. */
  reset(): void {
    this.#next = FIRST_MS;
  }
}
