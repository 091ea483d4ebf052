import type { Serial, SpkiSha256 } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type Block, type BlockForm, BlockReader, passes, type Ribbon } from './block.ts';
import { CertificateHash, LEVELS, MOST_SALTS } from './place.ts';
import { BAND, RibbonSystem } from './ribbon.ts';

/** The certificates of one key of one CA that have not ended. */
export interface IssuedSerials {
  readonly issuerSpkiSha256: SpkiSha256;
  /** Every one; gone through several times, and never held as a whole. One that comes twice has one answer. */
  readonly serials: Iterable<Serial>;
  readonly isRevoked: (serial: Serial) => boolean;
  /**
   * Until when all of them are known, where that is earlier than for the others of the filter: one that begins later is
   * not covered. Of an issuer of which nothing is known yet, 1970.
   */
  readonly through?: Date;
  /**
   * Whatever its key has signed is revoked, also what was never issued: the key may be in other hands, or the CA's own
   * certificate is revoked. The serial numbers are not looked at.
   */
  readonly allRevoked?: boolean;
}

/** So few are listed by their hashes, where that is shorter. */
const MOST_LISTED = 1024;
/** How many unknowns more than equations, as a share of these, are tried, in order. */
const SLACKS = [0.006, 0.008, 0.01, 0.012, 0.015, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.3, 0.5, 1];
/** With each of them as many salts, for the level that must have a solution. */
const SALTS_EACH = 4;
/** Certificates of which the share that passes by chance is measured. */
const SAMPLE = 20_000;
/** More columns than the rarest case has use for. */
const MOST_COLUMNS = 32;

/**
 * Builds the block of one issuer: exact for every certificate that is given, which is checked at the end, one by one.
 * What is listed is the smaller set. The first level passes all of it and few others, the second tells those few apart
 * (the two levels of Clubcard, Schanck 2025): with R of N listed and k columns, R k + R + (N - R) / 2^k bits.
 * @throws KeysteadError `filter.unsolvable` for a serial number that is given twice with two answers.
 */
export function buildBlock(issued: IssuedSerials): Block {
  const { issuerSpkiSha256 } = issued;
  const answered = new Answered(issued);
  const inverted = answered.count(true) > answered.count(false);
  const listed = [...new Set(answered.those(!inverted))];
  const others = new Others(answered, inverted);
  const block = { issuerSpkiSha256, inverted, form: formOf(new CertificateHash(issuerSpkiSha256), listed, others) };
  const reader = new BlockReader(block);
  for (const answer of [true, false])
    for (const serial of answered.those(answer))
      if (reader.says(serial) !== answer) throw unsolvable(`${serial}, which is answered wrongly`);
  return block;
}

/**
 * Certificates with what is to be said of each. Each is asked once, since the answer may itself be a look-up in a filter,
 * and only the answers are kept: a bit each, where the serial numbers of a million would take a hundred megabytes.
 */
class Answered {
  readonly #serials: Iterable<Serial>;
  #answers = new Uint8Array(1024);
  #total = 0;
  #revoked = 0;

  constructor({ serials, isRevoked }: IssuedSerials) {
    this.#serials = serials;
    for (const serial of serials) {
      if (this.#total === this.#answers.length * 8) this.#grow();
      if (isRevoked(serial)) {
        this.#answers[this.#total >>> 3] = (this.#answers[this.#total >>> 3] ?? 0) | (1 << (this.#total & 7));
        this.#revoked += 1;
      }
      this.#total += 1;
    }
  }

  count(answer: boolean): number {
    return answer ? this.#revoked : this.#total - this.#revoked;
  }

  /** Those of which the answer is this one, in their order. */
  *those(answer: boolean): Generator<Serial> {
    let index = 0;
    for (const serial of this.#serials) {
      if ((((this.#answers[index >>> 3] ?? 0) >>> (index & 7)) & 1) === (answer ? 1 : 0)) yield serial;
      index += 1;
    }
  }

  #grow(): void {
    const answers = new Uint8Array(this.#answers.length * 2);
    answers.set(this.#answers);
    this.#answers = answers;
  }
}

/** The certificates that are not listed: all but a few, gone through and never held. */
class Others implements Iterable<Serial> {
  readonly #answered: Answered;
  readonly #answer: boolean;

  constructor(answered: Answered, answer: boolean) {
    this.#answered = answered;
    this.#answer = answer;
  }

  get length(): number {
    return this.#answered.count(this.#answer);
  }

  [Symbol.iterator](): Generator<Serial> {
    return this.#answered.those(this.#answer);
  }
}

function formOf(hash: CertificateHash, listed: readonly Serial[], others: Others): BlockForm {
  if (listed.length === 0) return { kind: 'none' };
  const list = listed.length <= MOST_LISTED ? listOf(hash, listed, others) : undefined;
  // Two bands are the least that two ribbons take.
  if (list !== undefined && list.hashes.length * 8 <= 2 * BAND) return list;
  const ribbon = ribbonsOf(hash, listed, others);
  return list !== undefined && list.hashes.length * 8 <= bitsOf(ribbon) ? list : ribbon;
}

const bitsOf = ({ approximate, exact }: Extract<BlockForm, { kind: 'ribbon' }>): number =>
  approximate.size * approximate.columns.length + exact.size;

/** The shortest prefixes by which none of the others is taken for one that is listed. */
function listOf(hash: CertificateHash, listed: readonly Serial[], others: Others) {
  const prefix = (serial: Serial, width: number) =>
    Buffer.from(hash.of(serial, LEVELS.list, 0)).toString('latin1', 0, width);
  for (let width = 1; width <= 32; width += 1) {
    if (listed.length * (listed.length + others.length) > 2 ** (8 * width + 4)) continue;
    const prefixes = new Set(listed.map((serial) => prefix(serial, width)));
    if (some(others, (serial) => prefixes.has(prefix(serial, width)))) continue;
    const sorted = [...prefixes].map((text) => Buffer.from(text, 'latin1')).sort(Buffer.compare);
    return { kind: 'list' as const, width, hashes: new Uint8Array(Buffer.concat(sorted)) };
  }
  throw unsolvable('a serial number with two answers');
}

function some(serials: Iterable<Serial>, matches: (serial: Serial) => boolean): boolean {
  for (const serial of serials) if (matches(serial)) return true;
  return false;
}

function ribbonsOf(hash: CertificateHash, listed: readonly Serial[], others: Others) {
  const columns = bestColumns(listed.length, others.length);
  const approximate = approximateLevel(hash, listed, others, columns);
  const passed = new Set<Serial>();
  for (const serial of others) if (passes(hash, approximate, serial)) passed.add(serial);
  return { kind: 'ribbon' as const, approximate, exact: exactLevel(hash, listed, [...passed]) };
}

/** How many columns make both levels together shortest. */
function bestColumns(listed: number, others: number): number {
  const bits = (columns: number) => listed * columns + others / 2 ** columns;
  let best = 0;
  while (best < MOST_COLUMNS && bits(best + 1) < bits(best)) best += 1;
  return best;
}

/**
 * The first level: a system whose sums are all zero always has a solution, but in too few unknowns nearly only the one that
 * passes everybody. So sizes are tried, and the one is taken that is shortest together with what passes it.
 */
function approximateLevel(hash: CertificateHash, listed: readonly Serial[], others: Others, columns: number): Ribbon {
  const none = { salt: 0, size: 0, columns: [] };
  if (columns === 0) return none;
  const sample = first(others, SAMPLE);
  let best: { ribbon: Ribbon; bits: number } | undefined;
  for (const slack of SLACKS) {
    const ribbon = homogeneous(hash, listed, sizeFor(listed.length, slack), columns);
    const share = sample.filter((serial) => passes(hash, ribbon, serial)).length / sample.length;
    const bits = ribbon.size * columns + share * others.length;
    if (best !== undefined && bits >= best.bits) break;
    best = { ribbon, bits };
  }
  return best?.ribbon ?? none;
}

function first(serials: Iterable<Serial>, count: number): Serial[] {
  const found: Serial[] = [];
  for (const serial of serials) {
    if (found.length === count) break;
    found.push(serial);
  }
  return found;
}

function homogeneous(hash: CertificateHash, listed: readonly Serial[], size: number, columns: number): Ribbon {
  const system = new RibbonSystem(size);
  for (const serial of listed) system.add(hash.band(serial, LEVELS.approximate, 0, size), 0);
  const free = freeBits();
  return { salt: 0, size, columns: Array.from({ length: columns }, () => system.solve(free)) };
}

/** The second level: 1 for what is listed, 0 for what passed by chance. */
function exactLevel(hash: CertificateHash, listed: readonly Serial[], passed: readonly Serial[]): Ribbon {
  if (passed.length === 0) return { salt: 0, size: 0, columns: [] };
  const equations = listed.length + passed.length;
  let salt = 0;
  for (const slack of SLACKS) {
    const size = sizeFor(equations, slack);
    for (let tried = 0; tried < SALTS_EACH && salt < MOST_SALTS; tried += 1, salt += 1) {
      const column = solved(hash, listed, passed, salt, size);
      if (column !== undefined) return { salt, size, columns: [column] };
    }
  }
  throw unsolvable(`${equations} certificates`);
}

function solved(
  hash: CertificateHash,
  listed: readonly Serial[],
  passed: readonly Serial[],
  salt: number,
  size: number,
): Uint32Array | undefined {
  const system = new RibbonSystem(size);
  const all = (serials: readonly Serial[], right: 0 | 1) =>
    serials.every((serial) => system.add(hash.band(serial, LEVELS.exact, salt, size), right));
  return all(passed, 0) && all(listed, 1) ? system.solve(() => 0) : undefined;
}

const sizeFor = (equations: number, slack: number): number => Math.max(BAND, Math.ceil(equations * (1 + slack)));

/**
 * Bits that look like chance and are the same each time, so that two builds of one filter are one file (xorshift32,
 * Marsaglia 2003). Nothing secret rests on them.
 */
function freeBits(): () => number {
  let state = 0x9e3779b9;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 31;
  };
}

export const unsolvable = (seen: string): KeysteadError =>
  new KeysteadError('filter.unsolvable', { field: 'serials', seen });
