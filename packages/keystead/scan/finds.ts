import type { Find } from './find.ts';

/** What was found: a key, or something that could not be looked into. */
export type Scanned =
  | ({ readonly what: 'key'; readonly where: string } & Find)
  | { readonly what: 'unread'; readonly where: string; readonly offset: number; readonly why: string }
  /** How many more there were in a file than are told one by one. */
  | {
      readonly what: 'more';
      readonly where: string;
      readonly clear: number;
      readonly encrypted: number;
      readonly unread: number;
    };

/** As many of a file are told one by one, of keys in the clear and of the rest each; the others are counted. */
export const MOST_FINDS = 1000;

/**
 * What is found in one file. An image may hold millions of things that look like keys under a passphrase: memory is
 * bounded, and no number of them hides a key in the clear, which has places of its own.
 */
export class Finds {
  readonly #kept: Scanned[] = [];
  readonly #rest = { clear: 0, encrypted: 0, unread: 0 };
  #clear = 0;
  #others = 0;

  add(one: Exclude<Scanned, { what: 'more' }>): void {
    const kind = one.what === 'unread' ? 'unread' : one.encrypted ? 'encrypted' : 'clear';
    const kept = kind === 'clear' ? this.#clear : this.#others;
    if (kept >= MOST_FINDS) {
      this.#rest[kind] += 1;
      return;
    }
    if (kind === 'clear') this.#clear += 1;
    else this.#others += 1;
    this.#kept.push(one);
  }

  /** All that were kept, in the order in which they came, and how many more there were. @param where the file. */
  all(where: string): Scanned[] {
    const { clear, encrypted, unread } = this.#rest;
    if (clear + encrypted + unread === 0) return this.#kept;
    return [...this.#kept, { what: 'more', where, ...this.#rest }];
  }
}
