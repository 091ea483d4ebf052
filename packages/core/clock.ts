/**
 * Where time comes from. Everything that asks for the time takes a clock, so that tests run years in
 * seconds and nothing sleeps (DESIGN, rules that decide cases).
 */
export interface Clock {
  /** The current time, UTC. */
  now(): Date;
}

/** A clock that a test sets by hand. */
export class SimulatedClock implements Clock {
  #ms: number;

  constructor(start: Date) {
    this.#ms = start.getTime();
  }

  now(): Date {
    return new Date(this.#ms);
  }

  /** Moves the clock by `seconds`; a negative number moves it back. */
  advance(seconds: number): void {
    this.#ms += seconds * 1000;
  }

  set(time: Date): void {
    this.#ms = time.getTime();
  }
}
