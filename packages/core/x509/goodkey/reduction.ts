import { bitLength } from './gcd.ts';

/**
 * x modulo one number, many times over: Barrett's reduction (Handbook of Applied Cryptography, algorithm 14.42), which
 * costs two multiplications where a long division costs six.
 */
export class Reduction {
  readonly modulus: bigint;
  readonly #bits: bigint;
  readonly #reciprocal: bigint;

  /** @param modulus above 1. */
  constructor(modulus: bigint) {
    this.modulus = modulus;
    this.#bits = BigInt(bitLength(modulus));
    this.#reciprocal = (1n << (2n * this.#bits)) / modulus;
  }

  /** @param x not negative, and below the square of the modulus. */
  reduce(x: bigint): bigint {
    const quotient = ((x >> this.#bits) * this.#reciprocal) >> this.#bits;
    let rest = x - quotient * this.modulus;
    // The estimate is at most a few too small.
    while (rest >= this.modulus) rest -= this.modulus;
    return rest;
  }
}
