/** The first wait: a timestamp is good for a minute at the least. */
const FIRST_MS = 10_000;
/** How long to wait before something is tried again: 10 seconds, then twice as long each time, 5 minutes at the most. */
export class GrowingWait {
  /** No longer, so that what was away is found soon after it is back. */
  static readonly MOST_MS = 300_000;
  #next = FIRST_MS;

  /** Milliseconds. */
  next(): number {
    const wait = this.#next;
    this.#next = Math.min(wait * 2, GrowingWait.MOST_MS);
    return wait;
  }

  /** It went well: the next wait is the first. */
  reset(): void {
    this.#next = FIRST_MS;
  }
}
