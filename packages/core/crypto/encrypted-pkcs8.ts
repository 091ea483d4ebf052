import { createCipheriv, createPrivateKey } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import type { KeyAlgorithm } from './algorithms.ts';
import { algorithmOf } from './key.ts';
import { type PasswordKdf, passwordKey } from './password.ts';
import { randomBytes } from './random.ts';
import { SecretBytes } from './secret.ts';

/** A private key that came out of a file: PrivateKeyInfo (DER, RFC 5208) and what kind of key it is. */
export interface OpenedKey {
  readonly algorithm: KeyAlgorithm;
  readonly pkcs8: SecretBytes;
}

const SEQUENCE = 0x30;
const OCTET_STRING = 0x04;
const INTEGER = 0x02;
// DER of the object identifiers: RFC 8018 appendix A (PBES2, PBKDF2, hmacWithSHA256), RFC 3565 section 4.1 (AES-256-CBC).
const PBES2 = Buffer.from('06092a864886f70d01050d', 'hex');
const PBKDF2 = Buffer.from('06092a864886f70d01050c', 'hex');
const HMAC_SHA256 = Buffer.from('06082a864886f70d02090500', 'hex');
const AES_256_CBC = Buffer.from('060960864801650304012a', 'hex');

const KDF = 'pbkdf2-hmac-sha256';
const ITERATIONS = 600_000;

/**
 * EncryptedPrivateKeyInfo (DER, RFC 5958 section 3) by PBES2: PBKDF2-HMAC-SHA-256 at Keystead's own floor and
 * AES-256-CBC, which every tool reads. OpenSSL's own export would take 2048 iterations. CBC does not authenticate: this
 * is a form for handing a key to another program, not for keeping it. REQ-KEY-KDF-02.
 * @param pkcs8 PrivateKeyInfo, DER; stays with the caller, as does the passphrase.
 * @throws KeysteadError `kdf.passphrase-empty`, `rng.unhealthy`.
 */
export async function encryptPkcs8(pkcs8: SecretBytes, passphrase: SecretBytes): Promise<Uint8Array> {
  const params: PasswordKdf = { kdf: KDF, salt: randomBytes(16), iterations: ITERATIONS };
  const iv = randomBytes(16);
  using key = await passwordKey(params, passphrase, 32);
  const ciphertext = key.use((bytes) => {
    const cipher = createCipheriv('aes-256-cbc', bytes, iv);
    return pkcs8.use((plaintext) => Buffer.concat([cipher.update(plaintext), cipher.final()]));
  });
  const iterations = Buffer.alloc(4);
  iterations.writeUInt32BE(ITERATIONS);
  // 600,000 is 0x0927c0: three octets, the first below 0x80, as DER wants a positive INTEGER.
  const kdf = der(
    SEQUENCE,
    der(OCTET_STRING, params.salt),
    der(INTEGER, iterations.subarray(1)),
    der(SEQUENCE, HMAC_SHA256),
  );
  const scheme = der(SEQUENCE, der(SEQUENCE, PBKDF2, kdf), der(SEQUENCE, AES_256_CBC, der(OCTET_STRING, iv)));
  return der(SEQUENCE, der(SEQUENCE, PBES2, scheme), der(OCTET_STRING, ciphertext));
}

/**
 * Opens an EncryptedPrivateKeyInfo of any maker, as far as OpenSSL reads it. Blocks for as long as its KDF takes.
 * @throws KeysteadError `key.not-opened`: the passphrase is wrong or the file is damaged, which this form cannot
 *   tell apart; or the key is of an algorithm that Keystead does not know.
 */
export function decryptPkcs8(encrypted: Uint8Array, passphrase: SecretBytes): OpenedKey {
  const key = passphrase.use((bytes) => {
    try {
      const der = Buffer.from(encrypted.buffer, encrypted.byteOffset, encrypted.length);
      const phrase = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      return createPrivateKey({ key: der, format: 'der', type: 'pkcs8', passphrase: phrase });
    } catch {
      throw new KeysteadError('key.not-opened', { field: 'encrypted private key' });
    }
  });
  const algorithm = algorithmOf(key);
  if (algorithm === undefined) {
    throw new KeysteadError('key.not-opened', { field: 'encrypted private key', seen: 'an unknown kind of key' });
  }
  const bytes = key.export({ format: 'der', type: 'pkcs8' });
  return { algorithm, pkcs8: SecretBytes.take(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)) };
}

/** One DER value: tag, definite length, content (X.690 section 8.1). Written, never read: OpenSSL does that. */
function der(tag: number, ...parts: Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.of(tag, length), content]);
  if (length < 0x100) return Buffer.concat([Buffer.of(tag, 0x81, length), content]);
  return Buffer.concat([Buffer.of(tag, 0x82, length >> 8, length & 0xff), content]);
}
