import { constants, privateDecrypt, publicEncrypt } from 'node:crypto';
import type { DerSpki } from '../bytes/index.ts';
import type { KeyAlgorithm } from './algorithms.ts';
import { importPrivateKey, importPublicKey } from './key.ts';
import { requireHealthyRandom } from './random.ts';
import { SecretBytes } from './secret.ts';

/**
 * How a content key travels under an RSA key: RSAES-OAEP with SHA-256 (RFC 8017 section 7.1, RFC 4055), or RSAES-PKCS1-v1_5
 * (section 7.2), which is there for SCEP alone, whose clients know nothing else.
 */
export type TransportScheme = 'oaep-sha256' | 'pkcs1-v1_5';

/** One RSA private key that unwraps content keys and is not seen. */
export interface KeyTransport {
  /**
   * The content key, or a random one of the same length where what was wrapped is none: who sends a broken one learns
   * nothing from it but that the content then makes no sense. PKCS #1 v1.5 has the implicit rejection of OpenSSL 3.2
   * besides, so that not even the time tells (Bleichenbacher 1998; RFC 3218 section 2.3.2). OAEP that is broken is
   * answered so as well.
   * @param length bytes of the key that the content was encrypted under.
   */
  unwrap(scheme: TransportScheme, wrapped: Uint8Array, length: number): SecretBytes;
}

/** @param key stays with the caller. @throws Error of node:crypto for a key that is not RSA, or too small. */
export function transportKey(scheme: TransportScheme, spki: DerSpki, key: SecretBytes): Uint8Array {
  requireHealthyRandom();
  return key.use((bytes) => new Uint8Array(publicEncrypt({ key: importPublicKey(spki), ...paddingOf(scheme) }, bytes)));
}

/**
 * A private key that unwraps. OpenSSL holds a copy until the result is collected; `pkcs8` stays with the caller, who may
 * wipe it at once.
 * @throws KeysteadError `key.malformed`, `key.algorithm-mismatch`.
 */
export function softwareTransport(algorithm: Extract<KeyAlgorithm, `RSA-${number}`>, pkcs8: SecretBytes): KeyTransport {
  const key = importPrivateKey(algorithm, pkcs8);
  return {
    unwrap(scheme, wrapped, length) {
      const other = SecretBytes.random(length);
      try {
        const opened = privateDecrypt({ key, ...paddingOf(scheme) }, wrapped);
        if (opened.length !== length) {
          opened.fill(0);
          return other;
        }
        other.wipe();
        return SecretBytes.take(new Uint8Array(opened.buffer, opened.byteOffset, opened.length));
      } catch {
        return other;
      }
    },
  };
}

const paddingOf = (scheme: TransportScheme): { padding: number; oaepHash?: string } =>
  scheme === 'oaep-sha256'
    ? { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' }
    : { padding: constants.RSA_PKCS1_PADDING };
