import { createCipheriv, createDecipheriv } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { randomBytes } from './random.ts';
import { SecretBytes } from './secret.ts';

/** SP 800-38D section 8.2.2: a random IV of 96 bits. */
const IV_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;

/**
 * AES-256-GCM (SP 800-38D): random IV of 12 bytes ‖ ciphertext ‖ tag of 16 bytes. With random IVs one key may seal
 * 2^32 times (SP 800-38D section 8.3); who seals more than a few must count.
 * @param key 32 bytes; it stays with the caller.
 * @param plaintext stays with the caller, who wipes it when it is secret.
 * @param aad bound to the result, not part of it.
 * @throws RangeError for a key of another length. @throws KeysteadError `rng.unhealthy`.
 */
export function sealBytes(key: SecretBytes, plaintext: Uint8Array, aad: Uint8Array): Uint8Array {
  requireKey(key);
  const iv = randomBytes(IV_BYTES);
  return key.use((bytes) => {
    const cipher = createCipheriv('aes-256-gcm', bytes, iv, { authTagLength: TAG_BYTES }).setAAD(aad);
    return new Uint8Array(Buffer.concat([iv, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
  });
}

/**
 * The plaintext of `sealBytes`.
 * @throws KeysteadError `seal.damaged` when a bit of it, of the associated data or of the key is another.
 * @throws RangeError for a key that is not 32 bytes.
 */
export function openBytes(key: SecretBytes, sealed: Uint8Array, aad: Uint8Array): SecretBytes {
  requireKey(key);
  if (sealed.length < IV_BYTES + TAG_BYTES) {
    throw new KeysteadError('seal.damaged', { field: 'sealed', seen: `${sealed.length} bytes` });
  }
  return key.use((bytes) => {
    const options = { authTagLength: TAG_BYTES };
    const decipher = createDecipheriv('aes-256-gcm', bytes, sealed.subarray(0, IV_BYTES), options);
    decipher.setAAD(aad).setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    // GCM is a stream: all of the plaintext is here before the tag was compared, and nothing comes after.
    const plaintext = decipher.update(sealed.subarray(IV_BYTES, sealed.length - TAG_BYTES));
    try {
      decipher.final();
    } catch {
      plaintext.fill(0);
      throw new KeysteadError('seal.damaged', { field: 'sealed', seen: 'a tag that does not fit' });
    }
    return SecretBytes.take(new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length));
  });
}

function requireKey(key: SecretBytes): void {
  if (key.length !== KEY_BYTES) throw new RangeError(`a sealing key has ${KEY_BYTES} bytes`);
}
