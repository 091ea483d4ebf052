import { hkdfSync } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { SecretBytes } from './secret.ts';

const HASH_BYTES = { sha256: 32, sha384: 48 } as const;
/** OpenSSL takes no more at once; RFC 5869 sets no limit. */
const INFO_CEILING = 1024;

/**
 * HKDF, extract and expand (RFC 5869; SP 800-56C r2 two-step derivation). REQ-KEY-KDF-01.
 * @param ikm the secret to derive from; it stays with the caller.
 * @param salt may be empty (RFC 5869 section 3.1); one of the hash's length that both sides had a part in is best.
 * @param info what the key is for, at most 1024 bytes; a string is taken as UTF-8.
 * @param length bytes, 1 to 255 times the hash's length.
 * @throws KeysteadError `kdf.length`.
 */
export function hkdf(
  hash: 'sha256' | 'sha384',
  ikm: SecretBytes,
  salt: Uint8Array,
  info: string | Uint8Array,
  length: number,
): SecretBytes {
  if (!Number.isInteger(length) || length < 1 || length > 255 * HASH_BYTES[hash]) {
    throw new KeysteadError('kdf.length', { field: 'length', seen: String(length) });
  }
  const purpose = typeof info === 'string' ? Buffer.from(info) : info;
  if (purpose.length > INFO_CEILING) {
    throw new KeysteadError('kdf.length', { field: 'info', seen: `${purpose.length} bytes` });
  }
  return ikm.use((secret) => SecretBytes.take(new Uint8Array(hkdfSync(hash, secret, salt, purpose, length))));
}
