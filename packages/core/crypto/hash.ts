import { createHmac, createSecretKey, hash, timingSafeEqual } from 'node:crypto';
import type { CertSha256, SpkiSha256 } from '../bytes/index.ts';
import type { SecretBytes } from './secret.ts';

/** SHA-256 (FIPS 180-4), 32 bytes. */
export function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha256', data, 'buffer'));
}

/** SHA-384 (FIPS 180-4), 48 bytes. */
export function sha384(data: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha384', data, 'buffer'));
}

/**
 * SHA-1 (FIPS 180-4), 20 bytes. Only for identifiers that a standard fixes to it: CertID (RFC 6960 section 4.1.1),
 * responder key hash (4.2.1), key identifiers (RFC 5280 section 4.2.1.2). Never under a signature.
 */
export function sha1Identifier(data: Uint8Array): Uint8Array {
  return new Uint8Array(hash('sha1', data, 'buffer'));
}

/** SHA-256 of a DER SubjectPublicKeyInfo: the name of a key in all of Keystead. */
export function spkiSha256(spki: Uint8Array): SpkiSha256 {
  return hash('sha256', spki, 'hex') as SpkiSha256;
}

/** SHA-256 of a DER certificate. */
export function certSha256(der: Uint8Array): CertSha256 {
  return hash('sha256', der, 'hex') as CertSha256;
}

/** HMAC-SHA-256 (FIPS 198-1, RFC 2104), 32 bytes. */
export function hmacSha256(key: SecretBytes, data: Uint8Array): Uint8Array {
  return key.use((bytes) => new Uint8Array(createHmac('sha256', bytes).update(data).digest()));
}

/**
 * HMAC-SHA-256 under one key for many messages, each in parts: five times as fast as {@link hmacSha256}, since the key
 * is handed to OpenSSL once. OpenSSL keeps a copy until the function is collected; `key` stays with the caller.
 */
export function hmacSha256With(key: SecretBytes): (...parts: readonly Uint8Array[]) => Uint8Array {
  const held = key.use((bytes) => createSecretKey(bytes));
  return (...parts) => {
    const hmac = createHmac('sha256', held);
    for (const part of parts) hmac.update(part);
    return new Uint8Array(hmac.digest());
  };
}

/** Whether two byte strings are the same, in a time that depends on their lengths only. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && timingSafeEqual(a, b);
}
