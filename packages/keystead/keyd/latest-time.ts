import { KeysteadError } from '@keystead/core/errors';

/** How far a clock may go back and the time stands still instead: what setting it right by hand or NTP does. */
export const CLOCK_TOLERANCE_MS = 2000;

/** The latest time that keyd has seen: nothing is signed at one before it. */
export class LatestTime {
  #last = 0;

  /**
   * The time by which to sign. Two seconds back are borne: clocks are set that way in small steps.
   * @throws KeysteadError `clock.went-back`.
   */
  at(now: Date): Date {
    const ms = now.getTime();
    if (!(ms >= this.#last - CLOCK_TOLERANCE_MS)) {
      throw new KeysteadError('clock.went-back', {
        field: 'clock',
        seen: `${Number.isNaN(ms) ? 'no time' : now.toISOString()}, after ${new Date(this.#last).toISOString()}`,
      });
    }
    this.saw(ms);
    return new Date(this.#last);
  }

  /** The latest time that was seen, milliseconds since 1970. */
  get last(): number {
    return this.#last;
  }

  /** Takes note of a time that something of keyd's was signed at, milliseconds since 1970. */
  saw(ms: number): void {
    this.#last = Math.max(this.#last, ms);
  }
}
