/**
 * What a differential test tries, the same in each run: numbers that look like chance (xorshift32, Marsaglia 2003).
 * Nothing secret rests on them.
 */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  /** From 0 to below `limit`. */
  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return (state >>> 0) % limit;
  }

  of<T>(choices: readonly T[]): T {
    const chosen = choices[this.below(choices.length)];
    if (chosen === undefined) throw new RangeError('nothing to choose from');
    return chosen;
  }

  /** One time in `of`. */
  one(of: number): boolean {
    return this.below(of) === 0;
  }
}
