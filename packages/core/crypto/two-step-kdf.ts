import { createHmac } from 'node:crypto';
import { kbkdf } from './kbkdf.ts';
import { BLOCK_BYTES, type KdfHash, requireDerivable } from './kdf-bounds.ts';
import { SecretBytes } from './secret.ts';

/**
 * Two-step derivation from a shared secret (SP 800-56C r2 section 5): K_DK = HMAC(salt, Z), then {@link kbkdf} in counter
 * mode with K_DK and the same hash. As `openssl mac HMAC` followed by `openssl kdf KBKDF`.
 *
 * {@link hkdf} is the same extraction followed by a feedback mode of its own, with the counter of 8 bits last, without 0x00
 * and [L] (RFC 5869 section 2.3); SP 800-56C r2 section 5.1 allows both. New protocols take `hkdf`; this one is for peers
 * that speak SP 800-108. REQ-KEY-KAG-01.
 * @param z at least 14 bytes; stays with the caller, who wipes it.
 * @param salt may be public; undefined or empty is as many zero octets as the hash has in an input block (section 5.1).
 * @param label what the key is for. @param context who agrees. @param length bytes, 1 to 8160.
 * @throws KeysteadError `kdf.length`, `kdf.master-too-short`, `kdf.label-malformed`.
 */
export function twoStepKdf(
  hash: KdfHash,
  z: SecretBytes,
  salt: Uint8Array | undefined,
  label: Uint8Array,
  context: Uint8Array,
  length: number,
): SecretBytes {
  requireDerivable(z, length);
  const key = salt === undefined || salt.length === 0 ? new Uint8Array(BLOCK_BYTES[hash]) : salt;
  const extracted = z.use((secret) => createHmac(hash, key).update(secret).digest());
  using kdk = SecretBytes.take(new Uint8Array(extracted.buffer, extracted.byteOffset, extracted.length));
  return kbkdf(hash, kdk, label, context, length);
}
