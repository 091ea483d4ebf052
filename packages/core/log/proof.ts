import { sameBytes } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { HASH_BYTES, nodeHash } from './hash.ts';

/**
 * Gives the root of the complete subtree number `index` of `height`: MTH(D[index·2^height : (index+1)·2^height])
 * in the words of RFC 6962 section 2.1. Height 0 is the leaf hashes. Only complete subtrees of the tree that the
 * proof is about are asked for.
 */
export type HashReader = (height: number, index: number) => Uint8Array | Promise<Uint8Array>;

/**
 * The proof that the leaf at `index` is in the tree of the first `size` leaves (RFC 9162 section 2.1.3.1): hashes
 * from the leaf's sibling up to the root's child.
 * @throws KeysteadError `log.out-of-range`; what `hashes` throws.
 */
export async function inclusionProof(index: number, size: number, hashes: HashReader): Promise<Uint8Array[]> {
  if (!(isSize(index) && isSize(size) && index < size)) {
    throw new KeysteadError('log.out-of-range', { field: 'index', seen: `${index} in a tree of ${size}` });
  }
  const siblings: [number, number][] = [];
  let [begin, end] = [0, size];
  while (end - begin > 1) {
    const middle = begin + splitPoint(end - begin);
    if (index < middle) {
      siblings.push([middle, end]);
      end = middle;
    } else {
      siblings.push([begin, middle]);
      begin = middle;
    }
  }
  return rootsOf(siblings.reverse(), hashes);
}

/**
 * The proof that the tree of `newSize` leaves begins with the tree of `oldSize` leaves (RFC 9162 section 2.1.4.1).
 * Empty when the sizes are the same or the old tree is empty.
 * @throws KeysteadError `log.out-of-range`; what `hashes` throws.
 */
export async function consistencyProof(oldSize: number, newSize: number, hashes: HashReader): Promise<Uint8Array[]> {
  if (!(isSize(oldSize) && isSize(newSize) && oldSize <= newSize)) {
    throw new KeysteadError('log.out-of-range', { field: 'size', seen: `${oldSize} in a tree of ${newSize}` });
  }
  if (oldSize === 0 || oldSize === newSize) return [];
  const ranges: [number, number][] = [];
  let [begin, end] = [0, newSize];
  // SUBPROOF(m, D[n], b): down the path on which the old tree ends.
  while (oldSize !== end) {
    const middle = begin + splitPoint(end - begin);
    if (oldSize <= middle) {
      ranges.push([middle, end]);
      end = middle;
    } else {
      ranges.push([begin, middle]);
      begin = middle;
    }
  }
  // The verifier has the old root; only when the old tree is not one complete subtree does it need this one too.
  if (begin > 0) ranges.push([begin, end]);
  return rootsOf(ranges.reverse(), hashes);
}

/**
 * Whether `proof` shows that `leaf` stands at `index` in the tree with this size and root
 * (RFC 9162 section 2.1.3.2). False, never an exception, for anything malformed.
 */
export function verifyInclusion(
  leaf: Uint8Array,
  index: number,
  size: number,
  proof: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!(isSize(index) && isSize(size) && index < size && leaf.length === HASH_BYTES && allHashes(proof))) return false;
  let [fn, sn, hash] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && sameBytes(hash, root);
}

/**
 * Whether `proof` shows that the tree (newSize, newRoot) begins with the tree (oldSize, oldRoot)
 * (RFC 9162 section 2.1.4.2). False, never an exception, for anything malformed.
 */
export function verifyConsistency(
  oldSize: number,
  newSize: number,
  oldRoot: Uint8Array,
  newRoot: Uint8Array,
  proof: readonly Uint8Array[],
): boolean {
  if (!(isSize(oldSize) && isSize(newSize) && oldSize <= newSize && allHashes(proof))) return false;
  if (oldSize === newSize) return proof.length === 0 && sameBytes(oldRoot, newRoot);
  if (oldSize === 0) return proof.length === 0;
  const path = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof;
  const [first, ...rest] = path;
  if (first === undefined || rest.length + (isPowerOfTwo(oldSize) ? 0 : 1) !== proof.length) return false;
  let [fn, sn] = [oldSize - 1, newSize - 1];
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  let [fr, sr] = [first, first];
  for (const hash of rest) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(hash, fr);
      sr = nodeHash(hash, sr);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      sr = nodeHash(sr, hash);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && sameBytes(fr, oldRoot) && sameBytes(sr, newRoot);
}

/** The largest power of two that is smaller than `size`: where RFC 6962 splits a tree of more than one leaf. */
function splitPoint(size: number): number {
  let k = 1;
  while (k * 2 < size) k *= 2;
  return k;
}

/** The tree hash of each range [begin, end); every range here starts at a multiple of its leading subtree. */
function rootsOf(ranges: readonly [number, number][], hashes: HashReader): Promise<Uint8Array[]> {
  return Promise.all(ranges.map(([begin, end]) => rangeRoot(begin, end, hashes)));
}

async function rangeRoot(begin: number, end: number, hashes: HashReader): Promise<Uint8Array> {
  const subtrees: (Uint8Array | Promise<Uint8Array>)[] = [];
  for (let at = begin; at < end; ) {
    let [height, width] = [0, 1];
    while (width * 2 <= end - at && at % (width * 2) === 0) [height, width] = [height + 1, width * 2];
    subtrees.push(hashes(height, at / width));
    at += width;
  }
  return (await Promise.all(subtrees)).reduceRight((right, left) => nodeHash(left, right));
}

const half = (n: number): number => Math.floor(n / 2);
const isSize = (n: number): boolean => Number.isSafeInteger(n) && n >= 0;
const allHashes = (hashes: readonly Uint8Array[]): boolean => hashes.every((hash) => hash.length === HASH_BYTES);

function isPowerOfTwo(n: number): boolean {
  let rest = n;
  while (rest % 2 === 0) rest /= 2;
  return rest === 1;
}
