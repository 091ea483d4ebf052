import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import type { DerSpki } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { DIGEST_OF, type GeneratedKeyAlgorithm, SIGNATURE_OF } from './algorithms.ts';
import { spkiOf } from './key.ts';
import { sampleRandomHealth } from './random.ts';
import { SecretBytes } from './secret.ts';
import { type Signer, signerOf } from './signature.ts';

/** A fresh key: its private half as PrivateKeyInfo (DER, RFC 5208), its public half as SubjectPublicKeyInfo (DER). */
export interface SoftwareKey {
  readonly pkcs8: SecretBytes;
  readonly spki: DerSpki;
}

/**
 * A key pair by FIPS 186-5, FIPS 204 or FIPS 205, from OpenSSL's DRBG, which passes its health test first. The pair is
 * tried on one signature before it is given out (pairwise consistency, FIPS 140-3 IG 10.3.A). RSA and SLH-DSA block for
 * up to a second.
 * REQ-KEY-GEN-01.
 * @throws KeysteadError `rng.unhealthy`, `key.inconsistent`.
 */
export function generateSoftwareKey(algorithm: GeneratedKeyAlgorithm): SoftwareKey {
  const { key, spki } = consistentPair(algorithm);
  return { pkcs8: pkcs8Of(key), spki };
}

/** The same with a signer over it, for who signs a request with the key at once: it need not be read again for that. */
export function generateWithSigner(algorithm: GeneratedKeyAlgorithm): SoftwareKey & { readonly signer: Signer } {
  const { key, spki } = consistentPair(algorithm);
  return { pkcs8: pkcs8Of(key), spki, signer: signerOf(algorithm, key, spki) };
}

function consistentPair(algorithm: GeneratedKeyAlgorithm): { key: KeyObject; spki: DerSpki } {
  sampleRandomHealth();
  const { privateKey: key } = generatePair(algorithm);
  const spki = spkiOf(key);
  requireConsistent(algorithm, key);
  return { key, spki };
}

function pkcs8Of(key: KeyObject): SecretBytes {
  const der = key.export({ format: 'der', type: 'pkcs8' });
  return SecretBytes.take(new Uint8Array(der.buffer, der.byteOffset, der.length));
}

function generatePair(algorithm: GeneratedKeyAlgorithm): { privateKey: KeyObject } {
  switch (algorithm) {
    case 'P-256':
      return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    case 'P-384':
      return generateKeyPairSync('ec', { namedCurve: 'secp384r1' });
    case 'Ed25519':
      return generateKeyPairSync('ed25519');
    case 'RSA-3072':
      return generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 65537 });
    case 'RSA-4096':
      return generateKeyPairSync('rsa', { modulusLength: 4096, publicExponent: 65537 });
    case 'ML-DSA-65':
      return generateKeyPairSync('ml-dsa-65');
    case 'ML-DSA-87':
      return generateKeyPairSync('ml-dsa-87');
    case 'SLH-DSA-SHA2-128s':
      return generateKeyPairSync('slh-dsa-sha2-128s');
    case 'SLH-DSA-SHA2-192s':
      return generateKeyPairSync('slh-dsa-sha2-192s');
    case 'SLH-DSA-SHA2-256s':
      return generateKeyPairSync('slh-dsa-sha2-256s');
  }
}

const PROBE = Buffer.from('keystead pairwise consistency', 'latin1');

function requireConsistent(algorithm: GeneratedKeyAlgorithm, privateKey: KeyObject): void {
  const digest = DIGEST_OF[SIGNATURE_OF[algorithm]];
  if (!verify(digest, PROBE, createPublicKey(privateKey), sign(digest, PROBE, privateKey))) {
    throw new KeysteadError('key.inconsistent', { field: 'new key', seen: algorithm });
  }
}
