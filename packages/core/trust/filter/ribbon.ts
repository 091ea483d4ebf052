/**
 * Ribbon retrieval (Dillinger, Walzer: 'Ribbon filter: practically smaller than Bloom and Xor', 2021): a system of
 * linear equations over GF(2), each of which touches one band of {@link BAND} neighbouring unknowns, so that it is solved
 * by Gaussian elimination in one pass. The solution holds one bit for each unknown and column.
 */

/** Words of 32 bits in a band: with the four bytes of its place they are exactly one SHA-256. */
export const BAND_WORDS = 7;
/** Unknowns that one equation touches. */
export const BAND = BAND_WORDS * 32;

/** The left side of an equation: where its band begins, and which unknowns of it add up. The first always does. */
export interface Band {
  readonly start: number;
  /** {@link BAND_WORDS} words; bit 0 of word 0 is the unknown `start`, and is set. */
  readonly coefficients: Uint32Array;
}

/** The parity of a word's bits. */
function parity(word: number): number {
  let bits = word ^ (word >>> 16);
  bits ^= bits >>> 8;
  bits ^= bits >>> 4;
  bits ^= bits >>> 2;
  bits ^= bits >>> 1;
  return bits & 1;
}

/** Adds up what an equation touches of one column: bit `n` of the column is bit `n % 32` of word `n / 32`. */
export function sumOver(column: Uint32Array, { start, coefficients }: Band): number {
  const word = start >>> 5;
  const shift = start & 31;
  let sum = 0;
  for (let k = 0; k < BAND_WORDS; k += 1) {
    const low = column[word + k] ?? 0;
    const bits = shift === 0 ? low : (low >>> shift) | ((column[word + k + 1] ?? 0) << (32 - shift));
    sum ^= bits & (coefficients[k] ?? 0);
  }
  return parity(sum);
}

/** Moves a band on by `bits` unknowns. */
function shift(coefficients: Uint32Array, bits: number): void {
  const words = bits >>> 5;
  const rest = bits & 31;
  for (let k = 0; k < BAND_WORDS; k += 1) {
    const low = coefficients[k + words] ?? 0;
    const high = coefficients[k + words + 1] ?? 0;
    coefficients[k] = rest === 0 ? low : (low >>> rest) | (high << (32 - rest));
  }
}

/** Zeros before the first bit that is set, or `BAND` when none is. */
function leadingZeros(coefficients: Uint32Array): number {
  for (let k = 0; k < BAND_WORDS; k += 1) {
    const word = coefficients[k] ?? 0;
    if (word !== 0) return k * 32 + 31 - Math.clz32(word & -word);
  }
  return BAND;
}

/** Equations in as many unknowns as `size` says, in echelon form. */
export class RibbonSystem {
  /** At least {@link BAND}. */
  readonly size: number;
  readonly #coefficients: Uint32Array;
  readonly #right: Uint8Array;
  readonly #used: Uint8Array;

  constructor(size: number) {
    this.size = size;
    this.#coefficients = new Uint32Array(size * BAND_WORDS);
    this.#right = new Uint8Array(size);
    this.#used = new Uint8Array(size);
  }

  /** Adds an equation whose sum is to be `right` in every column. Returns whether the system still has a solution. */
  add({ start, coefficients }: Band, right: 0 | 1): boolean {
    const left = coefficients.slice();
    let value: number = right;
    for (let row = start; ; ) {
      const at = row * BAND_WORDS;
      if (this.#used[row] === 0) {
        this.#used[row] = 1;
        this.#coefficients.set(left, at);
        this.#right[row] = value;
        return true;
      }
      for (let k = 0; k < BAND_WORDS; k += 1) left[k] = (left[k] ?? 0) ^ (this.#coefficients[at + k] ?? 0);
      value ^= this.#right[row] ?? 0;
      const zeros = leadingZeros(left);
      if (zeros === BAND) return value === 0;
      shift(left, zeros);
      row += zeros;
    }
  }

  /**
   * A solution of one column. What the equations leave open is filled from `free`: for a system whose sums are all zero,
   * chance keeps the sums of others from being zero too.
   */
  solve(free: () => number): Uint32Array {
    const column = new Uint32Array(columnWords(this.size));
    for (let row = this.size - 1; row >= 0; row -= 1) {
      const bit = this.#used[row] === 1 ? this.#bit(column, row) : free() & 1;
      if (bit === 1) column[row >>> 5] = (column[row >>> 5] ?? 0) | (1 << (row & 31));
    }
    return column;
  }

  #bit(column: Uint32Array, row: number): number {
    const coefficients = this.#coefficients.subarray(row * BAND_WORDS, (row + 1) * BAND_WORDS);
    return sumOver(column, { start: row, coefficients }) ^ (this.#right[row] ?? 0);
  }
}

/** Words of a column: one more than its bits need, so that a band at the end is read like any other. */
export const columnWords = (size: number): number => ((size + 31) >>> 5) + 1;
