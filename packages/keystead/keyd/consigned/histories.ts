import { KeysteadError } from '@keystead/core/errors';
import { Coverage } from './coverage.ts';
import type { ForkedJournalEntry, ResolvedJournalEntry, TakenJournalEntry } from './entries.ts';

/** A consignment by its place in the history of its factory. */
export interface Link {
  readonly number: number;
  readonly sha256: string;
  /** The hash of the one before; null for the first. */
  readonly previousSha256: string | null;
}

interface Taken extends Link {
  readonly receipt: string;
}

/** Of one factory. */
interface History {
  readonly bySha256: Map<string, Taken>;
  readonly byNumber: Map<number, Taken[]>;
  /** Second histories that operators let in: these and what follows on them. */
  readonly branches: Set<string>;
  highest: number;
  /** Every number up to here is known. */
  complete: number;
  fork: Pick<ForkedJournalEntry, 'number' | 'sha256' | 'known'> | undefined;
  /** What is known of it. */
  readonly coverage: Coverage;
  /** Each change of that, the oldest first. */
  readonly changes: CoverageChange[];
}

/** From a time on a factory was known until another one; milliseconds since 1970. */
interface CoverageChange {
  readonly at: number;
  readonly until: number | undefined;
}

/** Until when all certificates of a factory are known. Milliseconds since 1970. */
export interface Covered {
  /** Undefined where nobody can say. */
  readonly until: number | undefined;
  /** What was so at a time (milliseconds since 1970), and whatever has been since. */
  since(at: number): readonly (number | undefined)[];
}

/** How far ahead of the first missing number a consignment may be. */
const MOST_AHEAD = 10_000;
/** The most missing numbers that are named. */
const MOST_NAMED = 1000;

/**
 * The consignments that were taken of each factory. They may come in any order and any number of times; what must hold is
 * that they are one history. A node that runs from an older disk image, or a second holder of its key, makes two.
 */
export class Histories {
  readonly #histories = new Map<string, History>();
  #stops = 0;

  #of(factory: string): History {
    const known = this.#histories.get(factory) ?? {
      bySha256: new Map(),
      byNumber: new Map(),
      branches: new Set(),
      highest: 0,
      complete: 0,
      fork: undefined,
      coverage: new Coverage(),
      changes: [],
    };
    this.#histories.set(factory, known);
    return known;
  }

  /** The receipt of a consignment that was taken. */
  receipt(factory: string, sha256: string): string | undefined {
    return this.#histories.get(factory)?.bySha256.get(sha256)?.receipt;
  }

  /** What stopped a factory. */
  fork(factory: string): History['fork'] {
    return this.#histories.get(factory)?.fork;
  }

  highest(factory: string): number {
    return this.#histories.get(factory)?.highest ?? 0;
  }

  /** The numbers below the highest that are missing, the first thousand. */
  missing(factory: string): number[] {
    const history = this.#histories.get(factory);
    if (history === undefined) return [];
    const missing: number[] = [];
    for (let n = history.complete + 1; n < history.highest && missing.length < MOST_NAMED; n += 1) {
      if (!history.byNumber.has(n)) missing.push(n);
    }
    return missing;
  }

  /**
   * Whether a consignment that is not known fits to those that are.
   * @returns the one that it contradicts.
   * @throws KeysteadError `consignment.too-far`.
   */
  contradicted(factory: string, link: Link): Pick<Link, 'number' | 'sha256'> | undefined {
    const { number, sha256, previousSha256 } = link;
    const { byNumber, branches, complete } = this.#of(factory);
    if (number > complete + MOST_AHEAD) {
      throw new KeysteadError('consignment.too-far', {
        field: 'number',
        seen: `${number}, where ${complete + 1} is missing`,
      });
    }
    if (branches.has(sha256) || (previousSha256 !== null && branches.has(previousSha256))) return undefined;
    const [same] = byNumber.get(number) ?? [];
    if (same !== undefined) return same;
    const before = byNumber.get(number - 1);
    if (before !== undefined && !before.some((one) => one.sha256 === previousSha256)) return before[0];
    const after = byNumber.get(number + 1);
    if (after !== undefined && !after.some((one) => one.previousSha256 === sha256)) return after[0];
    return undefined;
  }

  /**
   * Until when all certificates of a factory are known. While it is stopped nobody can say: the second history may have
   * parted from the first at any time, and until all of it has come it may hold certificates of any date.
   */
  covered(factory: string): Covered {
    const changes = this.#histories.get(factory)?.changes ?? [];
    return {
      until: changes.at(-1)?.until,
      since(at) {
        // Before the first one nothing was known.
        const later = changes.findLastIndex((change) => change.at < at);
        return [changes[later]?.until, ...changes.slice(later + 1).map(({ until }) => until)];
      },
    };
  }

  /** How often a factory was stopped: what was known of it until then is less than what was thought. */
  get stops(): number {
    return this.#stops;
  }

  take(
    entry: Pick<
      TakenJournalEntry,
      'time' | 'factory' | 'number' | 'sha256' | 'previousSha256' | 'receipt' | 'completeUntil'
    >,
  ): void {
    const { time, factory, number, sha256, previousSha256, receipt, completeUntil } = entry;
    const history = this.#of(factory);
    if (history.bySha256.has(sha256)) return;
    const taken = { number, sha256, previousSha256, receipt };
    history.bySha256.set(sha256, taken);
    history.byNumber.set(number, [...(history.byNumber.get(number) ?? []), taken]);
    if (previousSha256 !== null && history.branches.has(previousSha256)) history.branches.add(sha256);
    const until = completeUntil === undefined ? undefined : Date.parse(completeUntil);
    history.coverage.take({ sha256, previousSha256, until });
    noteCoverage(history, time);
    history.highest = Math.max(history.highest, number);
    while (history.byNumber.has(history.complete + 1)) history.complete += 1;
  }

  stop({
    time,
    factory,
    number,
    sha256,
    known,
  }: Pick<ForkedJournalEntry, 'time' | 'factory' | 'number' | 'sha256' | 'known'>): void {
    const history = this.#of(factory);
    history.fork = { number, sha256, known };
    noteCoverage(history, time);
    this.#stops += 1;
  }

  /** Takes an operator's decision into account whose entry is durable. */
  resolve({ time, factory, decision }: Pick<ResolvedJournalEntry, 'time' | 'factory' | 'decision'>): void {
    if (decision.act !== 'accept') return;
    const history = this.#of(factory);
    history.branches.add(decision.sha256);
    history.fork = undefined;
    noteCoverage(history, time);
  }
}

/** Keeps what is known from `time` on, where that is something else than before. */
function noteCoverage({ fork, branches, coverage, changes }: History, time: string): void {
  const whole = fork === undefined && [...branches].every((sha256) => coverage.isWhole(sha256));
  const until = whole ? coverage.until : undefined;
  const last = changes.at(-1);
  if (last?.until !== until) changes.push({ at: Math.max(last?.at ?? 0, Date.parse(time)), until });
}
