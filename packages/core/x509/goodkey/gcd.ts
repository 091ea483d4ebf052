/** Bits of the leading parts that are divided as machine numbers. */
const LEADING_BITS = 50;

/**
 * The greatest common divisor of two numbers that are not negative. Lehmer's method (Knuth, TAOCP vol. 2, section
 * 4.5.2, algorithm L): most quotients of Euclid's algorithm show in the leading bits, so that one step of long
 * arithmetic stands for some twenty of them. Not for secrets: its time depends on the numbers.
 */
export function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = a > b ? [a, b] : [b, a];
  while (y !== 0n) {
    const shift = bitLength(x) - LEADING_BITS;
    if (shift <= 0) break;
    const by = BigInt(shift);
    const [p, q, r, s] = cofactors(Number(x >> by), Number(y >> by));
    if (q === 0) [x, y] = [y, x % y];
    else [x, y] = [BigInt(p) * x + BigInt(q) * y, BigInt(r) * x + BigInt(s) * y];
  }
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

/** Octets of hexadecimal digits, less what the first one lacks: what there is of a logarithm of a BigInt. */
export function bitLength(n: bigint): number {
  if (n === 0n) return 0;
  const hex = n.toString(16);
  return hex.length * 4 - Math.clz32(Number.parseInt(hex[0] ?? '0', 16)) + 28;
}

/**
 * The steps of Euclid that x and y, of which `u` and `v` are the leading bits, take together: p, q, r, s with
 * x' = p·x + q·y and y' = r·x + s·y. q is 0 when the first quotient is already in doubt. All products stay below 2^53.
 */
function cofactors(u: number, v: number): [number, number, number, number] {
  let [p, q, r, s] = [1, 0, 0, 1];
  let [high, low] = [u, v];
  for (;;) {
    // Two quotients, one too small and one too large, bound the true one: only where both agree is it known.
    if (low + r === 0 || low + s === 0) break;
    const quotient = Math.floor((high + p) / (low + r));
    if (quotient !== Math.floor((high + q) / (low + s))) break;
    const [nextR, nextS] = [p - quotient * r, q - quotient * s];
    if (Math.abs(nextR) > 2 ** 25 || Math.abs(nextS) > 2 ** 25) break;
    [p, q, r, s] = [r, s, nextR, nextS];
    [high, low] = [low, high - quotient * low];
  }
  return [p, q, r, s];
}
