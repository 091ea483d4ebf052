import { sha256 } from '../crypto/index.ts';

/** Length of every hash in the tree, bytes. */
export const HASH_BYTES = 32;

// RFC 6962 section 2.1: the prefixes keep a leaf from being passed as an inner node, and the reverse.
const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

/** The root of the tree without leaves: SHA-256 of nothing (RFC 6962 section 2.1). */
export const emptyRoot = (): Uint8Array => sha256(new Uint8Array(0));

/** The hash of one entry: SHA-256(0x00 ‖ entry), 32 bytes (RFC 6962 section 2.1). */
export function leafHash(entry: Uint8Array): Uint8Array {
  const input = new Uint8Array(entry.length + 1);
  input[0] = LEAF_PREFIX;
  input.set(entry, 1);
  return sha256(input);
}

/** The hash of an inner node: SHA-256(0x01 ‖ left ‖ right), 32 bytes (RFC 6962 section 2.1). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + left.length + right.length);
  input[0] = NODE_PREFIX;
  input.set(left, 1);
  input.set(right, 1 + left.length);
  return sha256(input);
}
