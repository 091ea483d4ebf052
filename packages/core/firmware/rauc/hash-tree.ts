import { createHash } from 'node:crypto';

/** Octets of a block of data, and of one of hashes. */
export const BLOCK = 4096;
const DIGEST = 32;

/**
 * The hash tree of dm-verity (Linux, Documentation/admin-guide/device-mapper/verity.rst) with the parameters that RAUC
 * has: version 1, SHA-256, the salt before each block, blocks of 4096 octets. It stands behind the data without a
 * superblock, its top level first; what is free in a block is zero.
 */
export class HashTree {
  readonly #salt: Uint8Array;
  readonly #hashes: Buffer[] = [];
  #rest: Buffer = Buffer.alloc(0);

  constructor(salt: Uint8Array) {
    this.#salt = salt;
  }

  /** Takes the next octets of the data. */
  update(piece: Uint8Array): void {
    const bytes = this.#rest.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#rest, piece]);
    const whole = bytes.length - (bytes.length % BLOCK);
    this.#hashes.push(this.#hashesOf(bytes.subarray(0, whole)));
    this.#rest = bytes.subarray(whole);
  }

  /** The tree and the hash of its top block. @throws RangeError for data that is not in whole blocks, two at least. */
  finish(): { readonly root: Uint8Array; readonly tree: Uint8Array } {
    if (this.#rest.length > 0) throw new RangeError(`${this.#rest.length} octets behind the last block`);
    let level: Buffer = Buffer.concat(this.#hashes);
    if (level.length < 2 * DIGEST) throw new RangeError('a tree has two blocks of data at least');
    const levels: Buffer[] = [];
    for (;;) {
      level = filled(level);
      levels.unshift(level);
      const above = this.#hashesOf(level);
      if (level.length === BLOCK) return { root: new Uint8Array(above), tree: Buffer.concat(levels) };
      level = above;
    }
  }

  #hashesOf(blocks: Buffer): Buffer {
    const hashes = Buffer.alloc((blocks.length / BLOCK) * DIGEST);
    for (let at = 0; at < blocks.length; at += BLOCK) {
      const hash = createHash('sha256')
        .update(this.#salt)
        .update(blocks.subarray(at, at + BLOCK));
      hashes.set(hash.digest(), (at / BLOCK) * DIGEST);
    }
    return hashes;
  }
}

/** The same with zeros up to the end of its last block. */
function filled(hashes: Buffer): Buffer {
  const free = Math.ceil(hashes.length / BLOCK) * BLOCK - hashes.length;
  return free === 0 ? hashes : Buffer.concat([hashes, Buffer.alloc(free)]);
}
