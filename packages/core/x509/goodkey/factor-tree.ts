/**
 * Bits of a fraction below the last one that counts. Each level of a tree adds at most one unit to the error, and a
 * leaf is rounded to the nearest: 64 bits allow 2^62 levels.
 */
const GUARD_BITS = 64n;

/** Subtrees of so many leaves are made anew when they are needed: the lower half of a tree is most of its memory. */
const KEPT_LEAVES = 1024;

interface Node {
  readonly product: bigint;
  /** The sum of the bits of the leaves below: the product is smaller than 2 to the power of it. */
  readonly bits: bigint;
  readonly left?: Node;
  readonly right?: Node;
  /** Where its leaves begin, and how many they are. */
  readonly from: number;
  readonly count: number;
}

/** A number modulo 1, as an integer: value / 2^(bits + GUARD_BITS). */
type Fraction = bigint;

/**
 * The product tree of some moduli, and what remains of a number modulo each of them (D. J. Bernstein, Scaled remainder
 * trees, 2004): one long division at the root, and below it only multiplications of fractions.
 */
export class FactorTree {
  readonly product: bigint;
  /**
   * The sum over all leaves of product / leaf. Modulo one of them every other term is 0, so that what remains of it is
   * the cofactor of that leaf: which has a factor in common with it exactly when another leaf has.
   */
  readonly derivative: bigint;
  readonly #moduli: readonly bigint[];
  readonly #root: Node;

  /** @param moduli at least one, each above 1. @throws RangeError when their product is larger than a BigInt can be. */
  constructor(moduli: readonly bigint[]) {
    this.#moduli = moduli;
    const { node, derivative } = this.#grow(0, moduli.length);
    this.#root = node;
    this.product = node.product;
    this.derivative = derivative;
  }

  /** Calls `found` with x modulo each modulus, in order. @param x not negative. */
  remainders(x: bigint, found: (index: number, remainder: bigint) => void): void {
    const { product, bits } = this.#root;
    const fraction = ((x % product) << (bits + GUARD_BITS)) / product;
    this.#descend(this.#root, fraction, found);
  }

  #grow(from: number, count: number): { node: Node; derivative: bigint } {
    if (count === 1) {
      const product = this.#moduli[from] ?? 1n;
      return { node: { product, bits: bitsOf(product), from, count }, derivative: 1n };
    }
    const half = count >> 1;
    const left = this.#grow(from, half);
    const right = this.#grow(from + half, count - half);
    const [a, b] = [left.node, right.node];
    const derivative = left.derivative * b.product + a.product * right.derivative;
    const node = { product: a.product * b.product, bits: a.bits + b.bits, from, count };
    return { node: count <= KEPT_LEAVES ? node : { ...node, left: a, right: b }, derivative };
  }

  #descend(node: Node, fraction: Fraction, found: (index: number, remainder: bigint) => void): void {
    if (node.count === 1) {
      // fraction · product / 2^(bits + guard), to the nearest; 1 − ε is 0.
      const whole = node.bits + GUARD_BITS;
      const remainder = (fraction * node.product + (1n << (whole - 1n))) >> whole;
      found(node.from, remainder === node.product ? 0n : remainder);
      return;
    }
    const [left, right] = this.#halves(node);
    // x/left modulo 1 is x/(left·right) · right modulo 1.
    this.#descend(left, scale(fraction, right.product, node.bits, left.bits), found);
    this.#descend(right, scale(fraction, left.product, node.bits, right.bits), found);
  }

  #halves({ left, right, from, count }: Node): [Node, Node] {
    if (left !== undefined && right !== undefined) return [left, right];
    const half = count >> 1;
    return [this.#regrow(from, half), this.#regrow(from + half, count - half)];
  }

  /** A subtree with all its nodes, which lives only while it is walked through. */
  #regrow(from: number, count: number): Node {
    if (count === 1) {
      const product = this.#moduli[from] ?? 1n;
      return { product, bits: bitsOf(product), from, count };
    }
    const half = count >> 1;
    const [left, right] = [this.#regrow(from, half), this.#regrow(from + half, count - half)];
    return { product: left.product * right.product, bits: left.bits + right.bits, left, right, from, count };
  }
}

const scale = (fraction: Fraction, by: bigint, bits: bigint, childBits: bigint): Fraction =>
  BigInt.asUintN(Number(bits + GUARD_BITS), fraction * by) >> (bits - childBits);

/** At least the bits of a modulus, in whole hexadecimal digits. */
const bitsOf = (modulus: bigint): bigint => BigInt(modulus.toString(16).length * 4);
