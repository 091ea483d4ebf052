import { sameBytes } from '@keystead/core/bytes';
import { Frontier } from '@keystead/core/log';

/** The tree over the entries themselves, as far as every one of them could be read. */
export class EntryTrack {
  #frontier: Frontier | undefined = new Frontier();
  /** The first entry that could not be read. */
  missingAt: number | undefined;

  append(index: number, leaf: Uint8Array | undefined): void {
    if (leaf !== undefined) this.#frontier?.append(leaf);
    else if (this.#frontier !== undefined) {
      this.missingAt = index;
      this.#frontier = undefined;
    }
  }

  /** Undefined once an entry is missing. */
  root(): Uint8Array | undefined {
    return this.#frontier?.root();
  }

  clone(): Frontier | undefined {
    return this.#frontier?.clone();
  }
}

/**
 * Leaf hashes that another file says the entries have: the tiles, or keyd's leaves. As long as they are the same, the
 * tree is the same too and is not computed twice; from the first difference it has its own.
 */
export class LeafTrack {
  #own: Frontier | undefined;
  #broken = false;
  /** The first entry since the last agreement for which this file says something else, or nothing. */
  differsAt: number | undefined;
  /** Whether it was silent there. */
  silent = false;

  /** Tells the track about entry `index`, before the entries' own tree takes it. */
  append(index: number, leaf: Uint8Array | undefined, entry: Uint8Array | undefined, entries: EntryTrack): void {
    if (this.differsAt === undefined) {
      if (leaf !== undefined && entry !== undefined && sameBytes(leaf, entry)) return;
      this.differsAt = index;
      this.silent = leaf === undefined;
      this.#own = entries.clone();
    }
    if (leaf === undefined) this.#broken = true;
    else this.#own?.append(leaf);
  }

  /** The root of what this file says; that of the entries while they agree; undefined when something is missing. */
  root(entries: EntryTrack): Uint8Array | undefined {
    if (this.differsAt === undefined) return entries.root();
    return this.#broken ? undefined : this.#own?.root();
  }

  /** Takes the entries for true from here on: a signature said so. */
  agree(): void {
    this.#own = undefined;
    this.#broken = false;
    this.differsAt = undefined;
    this.silent = false;
  }
}
