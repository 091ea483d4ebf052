import { FactorTree } from './factor-tree.ts';
import { gcd } from './gcd.ts';
import { Reduction } from './reduction.ts';

/** Moduli that are looked at in one tree: at 2,048 bits its product has 2^26, and it takes some 200 MB. */
const GROUP = 32_768;

/** A modulus that has a prime factor in common with others of the fleet, and so is broken: anybody can divide. */
export interface SharedFactor {
  /** Which modulus, by its place. */
  readonly index: number;
  /** What it has in common: one of its primes, or the modulus itself where both primes are shared or it is there twice. */
  readonly factor: bigint;
  /** The places of those that it has it in common with, at most {@link MOST_NAMED}. */
  readonly with: readonly number[];
}

/** Partners that are named of each; a generator that always draws the same prime breaks all of its keys. */
export const MOST_NAMED = 8;

/**
 * Finds every RSA modulus that shares a factor with another one: the greatest common divisors of all pairs at once, in
 * time that grows little faster than their number (Heninger, Durumeric, Wustrow and Halderman, Mining Your Ps and Qs,
 * USENIX Security 2012, section 3.3; Bernstein, How to find smooth parts of integers, 2004). A million moduli have
 * 5·10^11 pairs. REQ-KEY-PROV-03
 * @param moduli each above 1; that they are otherwise sound is for others to say. The same modulus may be there twice.
 * @param progress called with the share that is done, 0 to 1.
 * @returns in the order of `index`; empty for a sound fleet.
 */
export function sharedFactors(
  moduli: readonly bigint[],
  options: { readonly group?: number; readonly progress?: (done: number) => void } = {},
): SharedFactor[] {
  const { group = GROUP, progress = () => {} } = options;
  const groups: bigint[][] = [];
  for (let from = 0; from < moduli.length; from += group) groups.push(moduli.slice(from, from + group));
  // One tree at a time: of the other groups only their products are kept.
  const products = groups.map((members, index) => {
    progress(index / groups.length / 3);
    return new FactorTree(members).product;
  });
  const found: Found[] = [];
  groups.forEach((members, index) => {
    const tree = new FactorTree(members);
    const modulo = new Reduction(tree.product);
    let x = tree.derivative % tree.product;
    products.forEach((product, other) => {
      if (other !== index) x = modulo.reduce(x * (product % tree.product));
    });
    tree.remainders(x, (place, remainder) => {
      const modulus = members[place] ?? 0n;
      const factor = remainder === 0n ? modulus : gcd(modulus, remainder);
      if (factor > 1n) found.push({ index: index * group + place, factor });
    });
    progress(1 / 3 + (((index + 1) / groups.length) * 2) / 3);
  });
  const named = new Partners(moduli, found);
  return found.map((one) => ({ ...one, with: named.of(one) }));
}

interface Found {
  readonly index: number;
  readonly factor: bigint;
}

/** Who has what in common with whom. Only those that were found can be partners of each other. */
class Partners {
  readonly #moduli: readonly bigint[];
  readonly #byFactor = new Map<bigint, number[]>();
  /** Those of which everything is shared: with whom, only division tells. */
  readonly #whole: readonly Found[];

  constructor(moduli: readonly bigint[], found: readonly Found[]) {
    this.#moduli = moduli;
    for (const { index, factor } of found) {
      const same = this.#byFactor.get(factor);
      if (same === undefined) this.#byFactor.set(factor, [index]);
      else same.push(index);
    }
    this.#whole = found.filter(({ index, factor }) => moduli[index] === factor);
  }

  of({ index, factor }: Found): number[] {
    const named = new Set<number>();
    const add = (others: readonly number[]) => {
      for (const other of others) if (other !== index && named.size < MOST_NAMED) named.add(other);
    };
    add(this.#byFactor.get(factor) ?? []);
    const own = this.#moduli[index] ?? 0n;
    // A modulus of which everything is shared has a partner for each prime; the others one that may be such a modulus.
    const others = factor === own ? [...this.#byFactor.keys()] : this.#whole.map((one) => one.factor);
    for (const other of others) {
      if (named.size === MOST_NAMED) break;
      if (other !== factor && gcd(own, other) > 1n) add(this.#byFactor.get(other) ?? []);
    }
    return [...named].sort((a, b) => a - b);
  }
}
