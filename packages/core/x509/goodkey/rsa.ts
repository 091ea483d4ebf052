import { checkPrimeSync } from 'node:crypto';
import { bigIntOf } from '../spki.ts';

/**
 * What an RSA public key has against it, or undefined: the partial validation of SP 800-89 section 5.3.3 with the
 * exponents of FIPS 186-5 section A.1.1, and two signs of bad generators. The size is checked by whoever reads the
 * algorithm. Takes some milliseconds.
 * @param modulus @param exponent unsigned big-endian, without leading zeros
 */
export function rsaFault(modulus: Uint8Array, exponent: Uint8Array): string | undefined {
  const n = bigIntOf(modulus);
  const e = bigIntOf(exponent);
  if (n % 2n === 0n) return 'an even modulus';
  if (e % 2n === 0n) return 'an even exponent';
  // FIPS 186-5 section A.1.1: 2^16 < e < 2^256.
  if (e < 65_537n) return `the exponent ${e}, below 65537`;
  if (e >> 256n !== 0n) return 'an exponent of more than 256 bits';
  const factor = smallFactor(n);
  if (factor !== undefined) return `a modulus divisible by ${factor}`;
  if (hasRocaFingerprint(n)) return 'the fingerprint of ROCA (CVE-2017-15361)';
  if (hasCloseFactors(n)) return 'two prime factors that are too close (CVE-2022-26320)';
  // One round of Miller-Rabin: almost all composites fail it, and a modulus that is prime passes it.
  if (checkPrimeSync(n, { checks: 1 })) return 'a prime modulus';
  return undefined;
}

/** SP 800-89 section 5.3.3 asks for the primes below 752; a generator that is broken is found sooner with more. */
const SMALL_PRIME_LIMIT = 8192;

function primesBelow(limit: number): number[] {
  const composite = new Uint8Array(limit);
  const primes: number[] = [];
  for (let p = 2; p < limit; p += 1) {
    if (composite[p]) continue;
    primes.push(p);
    for (let multiple = p * p; multiple < limit; multiple += p) composite[multiple] = 1;
  }
  return primes;
}

const ODD_PRIMES = primesBelow(SMALL_PRIME_LIMIT).slice(1);

/** Primes in groups whose product is below 2^53: one long division a group, the rest in machine numbers. */
const PRIME_GROUPS = groupPrimes(ODD_PRIMES);

function groupPrimes(primes: readonly number[]): { product: bigint; primes: number[] }[] {
  const groups: { product: bigint; primes: number[] }[] = [];
  let members: number[] = [];
  let product = 1;
  for (const prime of primes) {
    if (product * prime > Number.MAX_SAFE_INTEGER) {
      groups.push({ product: BigInt(product), primes: members });
      [members, product] = [[], 1];
    }
    members.push(prime);
    product *= prime;
  }
  groups.push({ product: BigInt(product), primes: members });
  return groups;
}

function smallFactor(n: bigint): number | undefined {
  for (const { product, primes } of PRIME_GROUPS) {
    const rest = Number(n % product);
    for (const prime of primes) if (rest % prime === 0) return prime;
  }
  return undefined;
}

/**
 * ROCA (Nemec and others, The Return of Coppersmith's Attack, ACM CCS 2017, section 2.3): the primes of the broken
 * library are k*M + (65537^a mod M), so modulo each small prime the modulus is a power of 65537. The chance that a
 * sound modulus looks so for all primes from 3 to 167 is below 2^-150.
 */
const ROCA_PRIMES = ODD_PRIMES.filter((prime) => prime <= 167).map((prime) => {
  const powers = new Set<number>();
  for (let power = 1; !powers.has(power); power = (power * 65_537) % prime) powers.add(power);
  return { prime: BigInt(prime), powers };
});

function hasRocaFingerprint(n: bigint): boolean {
  return ROCA_PRIMES.every(({ prime, powers }) => powers.has(Number(n % prime)));
}

/**
 * Fermat's method finds factors whose difference is small: n = a^2 - b^2 with a next to the square root. FIPS 186-5
 * section A.1.3 demands |p - q| > 2^(bits/2 - 100), for which a hundred rounds is far more than chance.
 * Also finds the square of a prime.
 */
const FERMAT_ROUNDS = 100;

function hasCloseFactors(n: bigint): boolean {
  let a = squareRoot(n);
  if (a * a < n) a += 1n;
  let difference = a * a - n;
  for (let round = 0; round < FERMAT_ROUNDS; round += 1) {
    if (isSquare(difference)) return true;
    difference += 2n * a + 1n;
    a += 1n;
  }
  return false;
}

function isSquare(n: bigint): boolean {
  // Only squares modulo each of these can be squares: one in two hundred numbers, which spares the other roots.
  if (!SQUARES.every(({ modulus, squares }) => squares.has(Number(n % modulus)))) return false;
  const root = squareRoot(n);
  return root * root === n;
}

const SQUARES = [64, 63, 65, 11, 17, 19].map((modulus) => ({
  modulus: BigInt(modulus),
  squares: new Set(Array.from({ length: modulus }, (_, i) => (i * i) % modulus)),
}));

/** The floor of the square root, by Newton's method. */
function squareRoot(n: bigint): bigint {
  if (n < 2n) return n;
  let root = 1n << BigInt((n.toString(16).length * 4 + 1) >> 1);
  for (;;) {
    const next = (root + n / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}
