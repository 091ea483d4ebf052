import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { type DerSpki, sameBytes, toPem } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { type KeyAlgorithm, POST_QUANTUM_ALGORITHMS } from './algorithms.ts';
import type { SecretBytes } from './secret.ts';

/** OpenSSL's names of the two curves. */
const CURVES: Readonly<Record<string, KeyAlgorithm>> = { prime256v1: 'P-256', secp384r1: 'P-384' };

/** The algorithm of a key, or undefined when it is none that Keystead knows. */
export function algorithmOf(key: KeyObject): KeyAlgorithm | undefined {
  const details = key.asymmetricKeyDetails;
  // OpenSSL's name of a post-quantum algorithm is that of its standard in small letters.
  const type = key.asymmetricKeyType?.toLowerCase();
  if (key.asymmetricKeyType === 'ed25519') return 'Ed25519';
  if (key.asymmetricKeyType === 'ec') return CURVES[details?.namedCurve ?? ''];
  if (key.asymmetricKeyType !== 'rsa') return POST_QUANTUM_ALGORITHMS.find((one) => one.toLowerCase() === type);
  if (details?.modulusLength === 2048) return 'RSA-2048';
  if (details?.modulusLength === 3072) return 'RSA-3072';
  return details?.modulusLength === 4096 ? 'RSA-4096' : undefined;
}

/**
 * A public key for OpenSSL. It goes as PEM: of bytes Node.js 24 first finds out that they are no KeyObject, by an
 * exception, which takes about as long as to read a key of an elliptic curve.
 * @throws Error of node:crypto when it is no SubjectPublicKeyInfo or off its curve.
 */
export function importPublicKey(spki: Uint8Array): KeyObject {
  return createPublicKey(toPem('PUBLIC KEY', spki));
}

/**
 * A private key for OpenSSL, which holds a copy of its own until the KeyObject is collected. A KeyObject never
 * leaves this room.
 * @param pkcs8 PrivateKeyInfo, DER (RFC 5208).
 * @throws KeysteadError `key.malformed`, `key.algorithm-mismatch`.
 */
export function importPrivateKey(algorithm: KeyAlgorithm, pkcs8: SecretBytes): KeyObject {
  const key = pkcs8.use((bytes) => {
    try {
      const der = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
    } catch {
      // No cause: OpenSSL's text tells nothing that helps, and nothing about a private key is passed on.
      throw new KeysteadError('key.malformed', { field: 'private key', seen: `${bytes.length} bytes` });
    }
  });
  const seen = algorithmOf(key);
  if (seen !== algorithm) {
    throw new KeysteadError('key.algorithm-mismatch', {
      field: 'private key',
      seen: `${seen ?? 'another'} for ${algorithm}`,
    });
  }
  return key;
}

/** The public half, DER. */
export function spkiOf(key: KeyObject): DerSpki {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return new Uint8Array(publicKey.export({ format: 'der', type: 'spki' })) as DerSpki;
}

/** The public half of a PKCS#8 private key. @throws KeysteadError `key.malformed`, `key.algorithm-mismatch`. */
export function publicKeyOf(algorithm: KeyAlgorithm, pkcs8: SecretBytes): DerSpki {
  return spkiOf(importPrivateKey(algorithm, pkcs8));
}

/** The 32 octets of an Ed25519 public key (RFC 8032 section 5.1.2); undefined for another key or encoding (RFC 8410). */
export function ed25519Octets(spki: DerSpki): Uint8Array | undefined {
  try {
    const key = importPublicKey(spki);
    const { crv, x } = key.export({ format: 'jwk' });
    // OpenSSL reads more than DER; the index of keys is over the one encoding that a key has.
    if (crv !== 'Ed25519' || x === undefined || !sameBytes(spkiOf(key), spki)) return undefined;
    return new Uint8Array(Buffer.from(x, 'base64url'));
  } catch {
    return undefined;
  }
}

/** SubjectPublicKeyInfo, DER (RFC 8410 section 4), of the 32 octets of an Ed25519 public key. */
export function ed25519Spki(octets: Uint8Array): DerSpki {
  const x = Buffer.from(octets).toString('base64url');
  return spkiOf(createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' }));
}
