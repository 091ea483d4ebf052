import { createCipheriv, createDecipheriv, createHash } from 'node:crypto';
import { kbkdf, SecretBytes } from '@keystead/core/crypto';
import { hashBytes, type TpmHash } from '../wire/constants.ts';
import { join, u32 } from '../wire/writer.ts';

/** The hashes under which the two derivations are used: those of our keys, sessions and endorsement keys. */
export type KdfHash = 'sha256' | 'sha384';

/** The hash, when it is one of these. @throws RangeError otherwise. */
export function kdfHash(name: TpmHash): KdfHash {
  if (name === 'sha256' || name === 'sha384') return name;
  throw new RangeError(`no key derivation with ${name}`);
}

/**
 * KDFa (Part 1 section 11.4.10.2): SP 800-108 in counter mode with HMAC, whose context is contextU ‖ contextV.
 * @param key stays with the caller. @param bytes length of the result.
 */
export function kdfa(
  hash: KdfHash,
  key: SecretBytes,
  label: string,
  contextU: Uint8Array,
  contextV: Uint8Array,
  bytes: number,
): SecretBytes {
  return kbkdf(hash, key, Buffer.from(label, 'latin1'), join(contextU, contextV), bytes);
}

/**
 * KDFe (Part 1 section 11.4.10.3): the concatenation KDF of SP 800-56C over a shared secret; one digest of it.
 * @param z the x-coordinate of the shared point, as long as the field; stays with the caller.
 */
export function kdfe(
  hash: KdfHash,
  z: SecretBytes,
  label: string,
  partyU: Uint8Array,
  partyV: Uint8Array,
): SecretBytes {
  const digest = z.use((secret) =>
    createHash(hash)
      .update(u32(1))
      .update(secret)
      .update(`${label}\0`, 'latin1')
      .update(partyU)
      .update(partyV)
      .digest(),
  );
  return SecretBytes.take(digest.subarray(0, hashBytes(hash)));
}

/** AES in CFB mode with whole-block feedback (Part 1 section 11.4.9), in place of `data`'s copy. */
export function aesCfb(
  direction: 'encrypt' | 'decrypt',
  key: SecretBytes,
  iv: Uint8Array,
  data: Uint8Array,
): Uint8Array {
  return key.use((bytes) => {
    const name = `aes-${bytes.length * 8}-cfb`;
    const cipher = direction === 'encrypt' ? createCipheriv(name, bytes, iv) : createDecipheriv(name, bytes, iv);
    return join(cipher.update(data), cipher.final());
  });
}
