import type { DerSpki } from '@keystead/core/bytes';
import { algorithmOfSpki, type ClassicalKeyAlgorithm, ecSpki, ed25519Spki, rsaSpki } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/** The public half of a key as a token gives it. */
export type PublicNumbers =
  /** CKA_EC_POINT. */
  { readonly point: Uint8Array } | { readonly modulus: Uint8Array; readonly exponent: Uint8Array };

/** What stands before a point that a token wraps into a DER OCTET STRING, as PKCS#11 v2.40 section 2.3.3 wants it. */
const OCTET_STRING = 0x04;
/** Length of a point, octets: 0x04 ‖ x ‖ y (SEC 1), or the 32 octets of RFC 8032. */
const POINT_BYTES = { 'P-256': 65, 'P-384': 97, Ed25519: 32 } as const;

/**
 * SubjectPublicKeyInfo, DER, of a public key from a token, which is believed only after it was looked at: on its curve, of
 * the size that was asked for, and in RSA with the exponent that was asked for.
 * @throws KeysteadError `key.weak`, `key.algorithm-mismatch`.
 */
export function spkiFromToken(algorithm: ClassicalKeyAlgorithm, numbers: PublicNumbers): DerSpki {
  const spki = decoded(algorithm, numbers);
  const seen = algorithmOfSpki(spki);
  if (seen === algorithm) return spki;
  throw mismatch(algorithm, seen ?? 'another key');
}

function decoded(algorithm: ClassicalKeyAlgorithm, numbers: PublicNumbers): DerSpki {
  if (algorithm === 'RSA-3072' || algorithm === 'RSA-4096') {
    if (!('modulus' in numbers)) throw mismatch(algorithm, 'a point');
    const exponent = Buffer.from(numbers.exponent).toString('hex').replace(/^0+/, '');
    if (exponent !== '10001') throw new KeysteadError('key.weak', { field: 'public exponent', seen: exponent });
    return rsaSpki(numbers.modulus, numbers.exponent);
  }
  if (!('point' in numbers)) throw mismatch(algorithm, 'a modulus');
  const point = bare(numbers.point, POINT_BYTES[algorithm]);
  if (point === undefined) throw new KeysteadError('key.weak', { field: 'CKA_EC_POINT', seen: 'no point' });
  return algorithm === 'Ed25519' ? ed25519Spki(point) : ecSpki(algorithm, point);
}

/** Some modules leave the OCTET STRING out. Its header is two octets here, since no point is longer than 127. */
function bare(value: Uint8Array, length: number): Uint8Array | undefined {
  if (value.length === length) return value;
  const wrapped = value.length === length + 2 && value[0] === OCTET_STRING && value[1] === length;
  return wrapped ? value.subarray(2) : undefined;
}

const mismatch = (algorithm: string, seen: string): KeysteadError =>
  new KeysteadError('key.algorithm-mismatch', { field: 'public key of the token', seen: `${seen} for ${algorithm}` });
