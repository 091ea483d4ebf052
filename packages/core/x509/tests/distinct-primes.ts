/**
 * Distinct primes in ascending order from `from` on, by a sieve a piece at a time: millions in seconds. What is made of
 * them has exactly the factors that it was given, which random numbers have not.
 * @param from above 2^20 and below 2^46.
 */
export function* distinctPrimes(from: number): Generator<number> {
  const SPAN = 1 << 22;
  let base: number[] = [];
  for (let low = from - (from % 2) + 1; ; low += 2 * SPAN) {
    const high = low + 2 * SPAN;
    if (base.length === 0 || (base.at(-1) ?? 0) ** 2 < high)
      base = oddPrimesBelow(Math.ceil(Math.sqrt(high)) + (1 << 16));
    const composite = new Uint8Array(SPAN);
    for (const prime of base) {
      if (prime * prime >= high) break;
      let first = Math.ceil(low / prime) * prime;
      if (first % 2 === 0) first += prime;
      for (let at = (first - low) / 2; at < SPAN; at += prime) composite[at] = 1;
    }
    for (let at = 0; at < SPAN; at += 1) if (composite[at] === 0) yield low + 2 * at;
  }
}

function oddPrimesBelow(limit: number): number[] {
  const composite = new Uint8Array(limit);
  const primes: number[] = [];
  for (let p = 3; p < limit; p += 2) {
    if (composite[p]) continue;
    primes.push(p);
    for (let multiple = p * p; multiple < limit; multiple += 2 * p) composite[multiple] = 1;
  }
  return primes;
}

/**
 * Moduli for a check of shared factors: each of `bits` bits at least, a product of primes of 43 bits that no other has.
 * For the arithmetic they are what RSA moduli are, and a million of them take half a minute instead of a day.
 */
export function* soundModuli(bits: number): Generator<bigint> {
  const primes = distinctPrimes(2 ** 42);
  const next = (): number => primes.next().value as number;
  const each = Math.ceil(bits / 42);
  for (;;) {
    let factors = Array.from({ length: each }, () => BigInt(next()));
    while (factors.length > 1) {
      const half: bigint[] = [];
      for (let at = 0; at < factors.length; at += 2) half.push((factors[at] ?? 1n) * (factors[at + 1] ?? 1n));
      factors = half;
    }
    yield factors[0] ?? 1n;
  }
}
