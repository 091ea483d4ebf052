import type { Clock } from '@keystead/core/clock';

/** So many at a time after a pause, and so many a second from then on. */
export interface RateBound {
  readonly burst: number;
  readonly perSecond: number;
}

/** A bucket that fills with time: what strangers may ask of a key that anybody may ask. */
export class Rate {
  readonly #clock: Clock;
  readonly #bound: RateBound;
  #left: number;
  #at: number;

  constructor(clock: Clock, bound: RateBound) {
    this.#clock = clock;
    this.#bound = bound;
    this.#left = bound.burst;
    this.#at = clock.now().getTime();
  }

  /** Takes one, or says that there is none. */
  take(): boolean {
    const now = this.#clock.now().getTime();
    // A clock that went back gives nothing.
    const gone = Math.max(0, now - this.#at) / 1000;
    this.#at = now;
    this.#left = Math.min(this.#bound.burst, this.#left + gone * this.#bound.perSecond);
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
