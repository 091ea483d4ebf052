import { createPrivateKey, generatePrimeSync } from 'node:crypto';
import { SecretBytes, softwareSigner } from '@keystead/core/crypto';
import type { TestKey } from '../../authority/tests/bed.ts';

const BITS = 1536;
const E = 65_537n;

/** A prime for one half of an RSA-3072 modulus: its two highest bits are set, so that any two make 3,072 bits. */
export function halfPrime(): bigint {
  for (;;) {
    const prime = generatePrimeSync(BITS, { bigint: true });
    if (prime >> BigInt(BITS - 2) === 3n && prime % E !== 1n) return prime;
  }
}

/** An RSA key out of two primes that the test chooses, as a device with a bad generator makes it. */
export function rsaWithPrimes(p: bigint, q: bigint): TestKey {
  const d = inverse(E, (p - 1n) * (q - 1n));
  const fields = { n: p * q, e: E, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
  const jwk = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, base64url(value)]));
  const key = createPrivateKey({ key: { kty: 'RSA', ...jwk }, format: 'jwk' });
  using pkcs8 = SecretBytes.take(new Uint8Array(key.export({ format: 'der', type: 'pkcs8' })));
  const signer = softwareSigner('RSA-3072', pkcs8);
  return { signer, spki: signer.spki };
}

function base64url(number: bigint): string {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}

/** The extended Euclidean algorithm. */
function inverse(a: bigint, modulus: bigint): bigint {
  let [r, next, x, y] = [modulus, a % modulus, 0n, 1n];
  while (next !== 0n) {
    const quotient = r / next;
    [r, next] = [next, r - quotient * next];
    [x, y] = [y, x - quotient * y];
  }
  return ((x % modulus) + modulus) % modulus;
}
