import { fromBase64, toBase64 } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { emptyRoot, HASH_BYTES, nodeHash } from './hash.ts';

/** What a frontier needs to be made again: the number of leaves and the roots of its complete subtrees. */
export interface FrontierState {
  readonly size: number;
  /** Roots of the complete subtrees from left to right (large to small), one for each 1-bit of `size`. */
  readonly hashes: readonly Uint8Array[];
}

/**
 * The right edge of an RFC 6962 tree (a compact range from 0): enough to append leaves and to know the root,
 * in space that grows with the logarithm of the size. It cannot forget or change a leaf, which is why the
 * signer of the log keeps one of its own.
 */
export class Frontier {
  #size = 0;
  /** As in FrontierState. */
  #hashes: Uint8Array[] = [];

  /** @throws KeysteadError `log.malformed` when there are not as many hashes as `size` has 1-bits. */
  static from(state: FrontierState): Frontier {
    const { size, hashes } = state;
    if (!Number.isSafeInteger(size) || size < 0) throw new KeysteadError('log.malformed', { field: 'size' });
    if (hashes.length !== oneBits(size) || hashes.some((hash) => hash.length !== HASH_BYTES)) {
      throw new KeysteadError('log.malformed', { field: 'hashes', seen: `${hashes.length} hashes for size ${size}` });
    }
    const frontier = new Frontier();
    frontier.#size = size;
    frontier.#hashes = hashes.map((hash) => Uint8Array.from(hash));
    return frontier;
  }

  /** From what `toJSON` gave. @throws KeysteadError `log.malformed`. */
  static fromJSON(json: { readonly size: number; readonly hashes: readonly string[] }): Frontier {
    return Frontier.from({ size: json.size, hashes: json.hashes.map(fromBase64) });
  }

  get size(): number {
    return this.#size;
  }

  /** The roots of the complete subtrees, as `FrontierState.hashes`. */
  get hashes(): readonly Uint8Array[] {
    return this.#hashes;
  }

  /** Appends one leaf hash (32 bytes, `leafHash` of the entry). */
  append(leaf: Uint8Array): void {
    let hash = leaf;
    // As in a binary counter: each trailing 1-bit of the old size is a subtree that the new one completes.
    for (let size = this.#size; size % 2 === 1; size = Math.floor(size / 2)) {
      const left = this.#hashes.pop();
      if (left === undefined) throw new KeysteadError('log.malformed', { field: 'hashes' });
      hash = nodeHash(left, hash);
    }
    this.#hashes.push(hash);
    this.#size++;
  }

  /** The Merkle tree hash of all leaves so far, 32 bytes (RFC 6962 section 2.1). */
  root(): Uint8Array {
    if (this.#hashes.length === 0) return emptyRoot();
    return this.#hashes.reduceRight((right, left) => nodeHash(left, right));
  }

  /** A frontier of its own with the same leaves. */
  clone(): Frontier {
    const copy = new Frontier();
    copy.#size = this.#size;
    copy.#hashes = [...this.#hashes];
    return copy;
  }

  /** Size and hashes (base64), for a file. */
  toJSON(): { size: number; hashes: string[] } {
    return { size: this.#size, hashes: this.#hashes.map(toBase64) };
  }
}

function oneBits(size: number): number {
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}
