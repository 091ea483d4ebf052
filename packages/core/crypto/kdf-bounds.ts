import { KeysteadError } from '../errors/index.ts';
import type { SecretBytes } from './secret.ts';

/** The hash under a key derivation: HMAC with it (FIPS 198-1), or itself (FIPS 180-4). */
export type KdfHash = 'sha256' | 'sha384' | 'sha512';

/** Length of the hash, bytes. */
export const HASH_BYTES: Readonly<Record<KdfHash, number>> = { sha256: 32, sha384: 48, sha512: 64 };
/** Input block of the hash, bytes (FIPS 180-4 section 1): an HMAC key of zeros this long is the default salt. */
export const BLOCK_BYTES: Readonly<Record<KdfHash, number>> = { sha256: 64, sha384: 128, sha512: 128 };

/** SP 800-131A r2 section 8: keys are derived from at least 112 bits. */
const MASTER_FLOOR = 14;
/** The standards allow 2^32-1 blocks; nobody needs more than HKDF-SHA-256 gives, and a counter of 8 bits suffices. */
const LENGTH_CEILING = 255 * 32;

/**
 * What SP 800-108 and SP 800-56C derivations have in common.
 * @throws KeysteadError `kdf.length` unless `length` is a whole number of 1 to 8160, `kdf.master-too-short`.
 */
export function requireDerivable(secret: SecretBytes, length: number): void {
  if (!Number.isInteger(length) || length < 1 || length > LENGTH_CEILING) {
    throw new KeysteadError('kdf.length', { field: 'length', seen: String(length) });
  }
  if (secret.length < MASTER_FLOOR) {
    throw new KeysteadError('kdf.master-too-short', { field: 'secret', seen: `${secret.length} bytes` });
  }
}

/** Four octets, big-endian: [i] and [L] of the standards. */
export function uint32(n: number): Uint8Array {
  return Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
}
