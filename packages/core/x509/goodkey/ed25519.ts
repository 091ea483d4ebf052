import { toHex } from '../../bytes/index.ts';

/** The field prime of Curve25519 and the constant of the twisted Edwards curve (RFC 8032 section 5.1). */
const P = 2n ** 255n - 19n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

/**
 * The y coordinates of the points whose order divides 8 (with either sign of x): with such a key anyone can make
 * signatures that verify. Order 1: 1; order 2: -1; order 4: 0; order 8: the last two.
 * Source: Cremers and Jackson, Prime, Order Please! (IEEE CSF 2019), table 1; the test computes them again.
 */
const SMALL_ORDER_Y: ReadonlySet<bigint> = new Set([
  0n,
  1n,
  P - 1n,
  2707385501144840649318225287225658788936804267575313519463743609750303402022n,
  55188659117513257062467267217118295137698188065244968500265048394206261417927n,
]);

/**
 * What an Ed25519 public key has against it, or undefined: its y is in range (so each key has one encoding), the
 * point is on the curve, and its order is not small. OpenSSL finds none of it when it reads a key.
 * Points with a small-order part are not looked for: no signature of one can be made by someone else.
 * @param key 32 octets (RFC 8032 section 5.1.2)
 */
export function ed25519Fault(key: Uint8Array): string | undefined {
  const reversed = Uint8Array.from(key).reverse();
  // The top bit is the sign of x.
  reversed[0] = (reversed[0] ?? 0) & 0x7f;
  const y = BigInt(`0x${toHex(reversed)}`);
  if (y >= P) return 'a coordinate that is out of range';
  if (SMALL_ORDER_Y.has(y)) return 'a point of small order';
  // x^2 = (y^2 - 1) / (d y^2 + 1) has a root exactly when the product of both is a square (Euler's criterion); neither
  // is zero, for that is y = 1, y = -1 or d = -1/y^2, and -d is not a square.
  const y2 = (y * y) % P;
  const product = ((y2 - 1n + P) * (D * y2 + 1n)) % P;
  return power(product, (P - 1n) / 2n) === 1n ? undefined : 'a point that is not on its curve';
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % P;
    if (bit === '1') result = (result * base) % P;
  }
  return result;
}
