import { toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import type { PublicKeyParts } from '../spki.ts';
import { PUBLISHED_KEYS } from './known-keys.data.ts';

const fingerprints = new Set(PUBLISHED_KEYS.flatMap(({ keys }) => keys.map(([, fingerprint]) => fingerprint)));

/**
 * Whether the private half of a key is published: it stands in a standard, a test suite or a firmware project, from
 * where such keys find their way into products.
 */
export const isKnownKey = (parts: PublicKeyParts): boolean => fingerprints.has(keyFingerprint(parts));

/**
 * SHA-256, hex, of what a private key determines up to trivial changes: the modulus of RSA (whatever the exponent),
 * the x coordinate of a curve (whoever knows d knows n - d, the key with the other y), the y of Ed25519.
 */
export function keyFingerprint({ keyAlgorithm, keyBits, rsa }: PublicKeyParts): string {
  if (rsa !== undefined) return toHex(sha256(rsa.modulus));
  if (keyAlgorithm !== 'Ed25519') return toHex(sha256(keyBits.subarray(1, 1 + (keyBits.length >> 1))));
  const y = Uint8Array.from(keyBits);
  y[31] = (y[31] ?? 0) & 0x7f;
  return toHex(sha256(y));
}
