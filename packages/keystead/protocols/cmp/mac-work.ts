import { setImmediate as nextTurn } from 'node:timers/promises';
import { KeysteadError } from '@keystead/core/errors';

/** Checks of MACs that may be under way or in line: of one reference, and in all. One takes some milliseconds. */
const MOST_OF_ONE = 32;
const MOST_IN_ALL = 128;

/**
 * The line in which MACs by shared secrets are checked. A stranger chooses how many iterations one costs, so they are
 * done one after the other, with a turn of the event loop before each; whoever finds the line full is told to come
 * again. No reference can fill the line by itself.
 */
export class MacWork {
  readonly #of = new Map<string, number>();
  #inAll = 0;
  #last: Promise<unknown> = Promise.resolve();

  /** @throws KeysteadError `cmp.busy`, and nothing was done; what `work` throws. */
  async run<T>(reference: string, work: () => Promise<T>): Promise<T> {
    const own = this.#of.get(reference) ?? 0;
    if (own >= MOST_OF_ONE || this.#inAll >= MOST_IN_ALL) {
      throw new KeysteadError('cmp.busy', {
        field: 'protection',
        seen: `${own} of ${reference}, ${this.#inAll} in all`,
      });
    }
    this.#of.set(reference, own + 1);
    this.#inAll += 1;
    const done = this.#last.then(() => nextTurn()).then(work);
    this.#last = done.catch(() => undefined);
    try {
      return await done;
    } finally {
      this.#inAll -= 1;
      const left = (this.#of.get(reference) ?? 1) - 1;
      if (left === 0) this.#of.delete(reference);
      else this.#of.set(reference, left);
    }
  }
}
