import { FactorTree } from './factor-tree.ts';
import { gcd } from './gcd.ts';
import { Reduction } from './reduction.ts';

/** The product of a group of moduli that were looked at before, wherever it is kept. */
export interface KnownGroup {
  /** Called when it is needed, once in each look: a million moduli have products of 256 MB together. */
  product(): bigint;
  /** Its moduli, in order. Called only where one of them shares a factor with a new one. */
  moduli(): readonly bigint[];
}

/** Two moduli that share a factor: both are broken, since anybody can divide. */
export interface SharedPair {
  /** The new one, by its place. */
  readonly index: number;
  /** The other one: by its place among the new ones, or in a group that was known. */
  readonly other: { readonly group?: number; readonly index: number };
  /** What they have in common: a prime of both, or a whole modulus where one stands there twice. */
  readonly factor: bigint;
}

/** Partners that are named of each new modulus; a generator that always draws the same prime breaks all of its keys. */
export const MOST_PARTNERS = 8;

/**
 * Looks for factors that new moduli share with each other and with all that are known: one tree of the new ones, and one
 * division for each known group (Heninger, Durumeric, Wustrow and Halderman, Mining Your Ps and Qs, section 3.3, with the
 * groups that were looked at kept as their products). What is known is not compared anew. REQ-KEY-PROV-03
 * @param fresh each above 1; the product of all together is a BigInt: at most 200,000 of 2,048 bits.
 * @param progress called with the share that is done, 0 to 1.
 * @returns the product of the new ones, so that they can become a known group, and the pairs, by their places.
 * @throws RangeError when the product is larger than a BigInt can be.
 */
export function checkModuli(
  fresh: readonly bigint[],
  known: readonly KnownGroup[],
  progress: (done: number) => void = () => {},
): { readonly product: bigint; readonly pairs: readonly SharedPair[] } {
  if (fresh.length === 0) return { product: 1n, pairs: [] };
  const tree = new FactorTree(fresh);
  const { product } = tree;
  let cofactor = tree.derivative % product;
  if (known.length > 0) {
    const modulo = new Reduction(product);
    for (const [index, group] of known.entries()) {
      cofactor = modulo.reduce(cofactor * remainderOf(group.product(), product));
      progress((index + 1) / (known.length + 1));
    }
  }
  const shared: { index: number; factor: bigint }[] = [];
  tree.remainders(cofactor, (index, remainder) => {
    const modulus = fresh[index] ?? 0n;
    const factor = remainder === 0n ? modulus : gcd(modulus, remainder);
    if (factor > 1n) shared.push({ index, factor });
  });
  const pairs = shared.length === 0 ? [] : pairsOf(fresh, shared, known);
  progress(1);
  return { product, pairs };
}

const remainderOf = (x: bigint, modulus: bigint): bigint => (x < modulus ? x : x % modulus);

/** Whom each shares with. Few are shared, so that each of them may be compared with all. */
function pairsOf(
  fresh: readonly bigint[],
  shared: readonly { readonly index: number; readonly factor: bigint }[],
  known: readonly KnownGroup[],
): SharedPair[] {
  const pairs: SharedPair[] = [];
  const partners = new Map<number, number>();
  const add = (pair: SharedPair): void => {
    const count = partners.get(pair.index) ?? 0;
    partners.set(pair.index, count + 1);
    if (count < MOST_PARTNERS) pairs.push(pair);
  };
  for (const [place, one] of shared.entries()) {
    for (const two of shared.slice(0, place)) {
      const factor = gcd(fresh[one.index] ?? 0n, fresh[two.index] ?? 0n);
      if (factor > 1n) add({ index: one.index, other: { index: two.index }, factor });
    }
  }
  for (const [group, { product, moduli }] of known.entries()) {
    const whole = product();
    const touched = shared.filter(({ factor }) => gcd(factor, whole % factor) > 1n);
    if (touched.length === 0) continue;
    const members = moduli();
    for (const { index, factor } of touched) {
      for (const [place, member] of members.entries()) {
        if ((partners.get(index) ?? 0) >= MOST_PARTNERS) break;
        const common = gcd(factor, member % factor);
        if (common > 1n) add({ index, other: { group, index: place }, factor: gcd(fresh[index] ?? 0n, member) });
      }
    }
  }
  return pairs.sort((a, b) => a.index - b.index);
}
