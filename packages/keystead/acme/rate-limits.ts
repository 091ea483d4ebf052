import type { Clock } from '@keystead/core/clock';
import { RateLimited } from './errors.ts';

/** Whoever asked longest ago is forgotten first when there are more than this; then their count begins anew. */
const MOST_REMEMBERED = 20_000;

/** How often each of many may do one thing: `most` times in a window of `seconds`, all at once if they like. */
export class RateLimit {
  readonly #what: string;
  readonly #most: number;
  readonly #seconds: number;
  readonly #clock: Clock;
  /** When the window of each began, and how often they asked in it. */
  readonly #windows = new Map<string, { from: number; count: number }>();

  constructor(what: string, most: number, seconds: number, clock: Clock) {
    this.#what = what;
    this.#most = most;
    this.#seconds = seconds;
    this.#clock = clock;
  }

  /** Counts one. @throws RateLimited, and does not count then. */
  take(who: string): void {
    const window = this.#windowOf(who);
    this.require(who);
    this.#windows.delete(who);
    this.#windows.set(who, { from: window.from, count: window.count + 1 });
    for (const oldest of this.#windows.keys()) {
      if (this.#windows.size <= MOST_REMEMBERED) break;
      this.#windows.delete(oldest);
    }
  }

  /** Looks whether one more is allowed. @throws RateLimited. */
  require(who: string): void {
    const { from, count } = this.#windowOf(who);
    if (count < this.#most) return;
    const left = Math.ceil((from + this.#seconds * 1000 - this.#clock.now().getTime()) / 1000);
    throw new RateLimited(this.#what, Math.max(1, left));
  }

  #windowOf(who: string): { from: number; count: number } {
    const now = this.#clock.now().getTime();
    const known = this.#windows.get(who);
    // A clock that went back would otherwise keep a window open for ever.
    if (known === undefined || now >= known.from + this.#seconds * 1000 || now < known.from)
      return { from: now, count: 0 };
    return known;
  }
}
