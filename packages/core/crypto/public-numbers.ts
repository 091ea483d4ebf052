import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { type DerSpki, sameBytes } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { algorithmOf, importPublicKey, spkiOf } from './key.ts';

/** JWK's name of each curve and the length of a coordinate, octets (RFC 7518 section 6.2). */
const CURVES = { 'P-256': { crv: 'P-256', field: 32 }, 'P-384': { crv: 'P-384', field: 48 } } as const;
const UNCOMPRESSED = 0x04;

/**
 * SubjectPublicKeyInfo, DER, of a point as tokens give it: 0x04 ‖ x ‖ y (SEC 1 section 2.3.3). OpenSSL checks that both are
 * below p and on the curve; the two curves have cofactor 1, so that nothing is left of the full validation (SP 800-56A
 * r3 section 5.6.2.3.3).
 * @throws KeysteadError `key.weak`.
 */
export function ecSpki(algorithm: 'P-256' | 'P-384', point: Uint8Array): DerSpki {
  const { crv, field } = CURVES[algorithm];
  if (point.length !== 1 + 2 * field || point[0] !== UNCOMPRESSED) {
    throw new KeysteadError('key.weak', { field: 'public key', seen: `no uncompressed point of ${algorithm}` });
  }
  const x = base64url(point.subarray(1, 1 + field));
  const y = base64url(point.subarray(1 + field));
  return fromJwk({ kty: 'EC', crv, x, y }, `a point that is not on ${algorithm}`);
}

/**
 * The point of a public key, 0x04 ‖ x ‖ y, validated in full as {@link ecSpki} does.
 * @throws KeysteadError `key.algorithm-mismatch` for a key of another kind, `key.weak` for one that is none.
 */
export function ecPoint(algorithm: 'P-256' | 'P-384', spki: DerSpki): Uint8Array {
  const key = publicKey(spki);
  const seen = algorithmOf(key);
  if (seen !== algorithm) {
    throw new KeysteadError('key.algorithm-mismatch', {
      field: 'public key',
      seen: `${seen ?? 'another'} for ${algorithm}`,
    });
  }
  const { x, y } = key.export({ format: 'jwk' });
  const point = new Uint8Array(Buffer.concat([Uint8Array.of(UNCOMPRESSED), octets(x), octets(y)]));
  // OpenSSL also reads compressed and hybrid points and writes them back as they were.
  if (sameBytes(ecSpki(algorithm, point), spki)) return point;
  throw new KeysteadError('key.weak', { field: 'public key', seen: 'a point in another encoding' });
}

/** SubjectPublicKeyInfo, DER, of modulus and exponent, unsigned and big-endian. @throws KeysteadError `key.weak`. */
export function rsaSpki(modulus: Uint8Array, exponent: Uint8Array): DerSpki {
  return fromJwk({ kty: 'RSA', n: base64url(modulus), e: base64url(exponent) }, 'no RSA key');
}

/** The algorithm of a public key, or undefined when it is none that Keystead knows. @throws KeysteadError `key.weak`. */
export const algorithmOfSpki = (spki: DerSpki): ReturnType<typeof algorithmOf> => algorithmOf(publicKey(spki));

function publicKey(spki: DerSpki): KeyObject {
  try {
    const key = importPublicKey(spki);
    // OpenSSL reads more than the one encoding that a key has.
    if (sameBytes(spkiOf(key), spki)) return key;
  } catch {
    // Below.
  }
  throw new KeysteadError('key.weak', { field: 'public key', seen: 'no DER of a point on its curve' });
}

function fromJwk(jwk: JsonWebKey, otherwise: string): DerSpki {
  try {
    return spkiOf(createPublicKey({ key: jwk, format: 'jwk' }));
  } catch {
    throw new KeysteadError('key.weak', { field: 'public key', seen: otherwise });
  }
}

const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
const octets = (text: string | undefined): Uint8Array => Buffer.from(text ?? '', 'base64url');
