import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type CounterReading, type MonotonicCounter, NO_MARK } from '../keystore/index.ts';
import type { GroupCount } from './journal.ts';
import type { JournalDraft, JournalEntry } from './journal-entry.ts';

/** How the journal stands to the counter. */
export type CountState =
  /** There is no counter: the quota rests on the disk alone. */
  | 'disk'
  /** Both say the same. */
  | 'level'
  /** The counter could not be asked, or not be raised, the last time; the next unit asks it again. */
  | 'unreachable'
  /** The journal is older than the counter, or never knew it: an older disk was put back. */
  | 'rolled-back'
  /** The counter is behind what it acknowledged, so that it is another one, or was cleared. */
  | 'replaced'
  /** The journal was tied to a counter, and none is configured. */
  | 'missing';

/** What `status`, the presence file and `keystead verify` tell of it. */
export interface CountReport {
  readonly state: CountState;
  readonly counter: {
    readonly make: 'none' | MonotonicCounter['make'];
    readonly name?: string;
    readonly value?: number;
    readonly mark?: string;
  };
  /** The value in the journal; null where it never had one. */
  readonly journal: number | null;
}

/** Where a journal stands: the value of its last step, and the marks of that one and the one before. */
interface Stand {
  readonly value: number;
  readonly mark: string;
  readonly before: string;
}

/** What was seen where the two do not agree: an order to go on names it. */
export interface SeenCount {
  readonly make: MonotonicCounter['make'];
  readonly name: string;
  readonly value: number;
  readonly mark: string;
  readonly journal: number | null;
}

/**
 * Whether an entry uses up something that was granted so many times, or raises what firmware may not go back behind: an
 * older disk would give the one again, and lower the other.
 */
export const isCounted = (entry: JournalDraft | JournalEntry): boolean =>
  entry.kind === 'recount' ||
  entry.kind === 'firmware-order' ||
  (entry.kind === 'certificate' && (entry.ticket !== undefined || entry.authorisation !== undefined));

/**
 * Ties the journal to a monotonic counter, so that a disk that was put back gives no quota back. A group of entries that
 * takes units begins with an entry `count` of the counter's next value; it is made durable first, then the counter takes
 * its step, and only then is anything of it signed. So of what was answered the counter never knows less than it must:
 *
 * - journal and counter say the same: all is well;
 * - the journal is one ahead: keyd ended between the two. Nothing of that group was answered; the counter takes the step;
 * - the counter is ahead, by however little: the journal is not the newest one, and takes no units;
 * - they have the same value with another mark: the step was that of a copy of this journal, and it takes no units;
 * - the journal is ahead by more: the counter is not the one that it was, and no units are taken either.
 *
 * The last three are ended by an order of operators (recount.ts). REQ-KEY-PROV-01
 *
 * Trusted for: an older copy of the disk. Not for: somebody who writes a journal of their own into keyd's directory.
 */
export class UnitCount implements GroupCount {
  readonly #counter: MonotonicCounter | undefined;
  /** Null for a journal that took units before there was a counter. */
  #journal: Stand | null;
  #tied = false;
  #state: CountState;
  #reading: CounterReading | undefined;

  /** @param base the counter's value when it was made: what a journal that has taken no unit begins with. */
  constructor(counter: MonotonicCounter | undefined, base = 0) {
    this.#counter = counter;
    this.#journal = { value: base, mark: NO_MARK, before: NO_MARK };
    this.#state = counter === undefined ? 'disk' : 'unreachable';
  }

  /** Takes an entry of the journal into account, at a start. */
  replay(entry: JournalEntry): void {
    if (entry.kind === 'count') this.#advance(entry.value, entry.mark);
    else if (entry.kind === 'recount') this.#replayRecount(entry.counter);
    else if (!this.#tied && isCounted(entry)) this.#journal = null;
  }

  /**
   * Compares the two, once every entry was replayed. A counter that cannot be asked is no failure: keyd starts without
   * it, and takes no units until it can.
   */
  async start(): Promise<void> {
    if (this.#counter === undefined) {
      // Else to take away a file would be enough.
      if (this.#tied) this.#state = 'missing';
      return;
    }
    try {
      await this.#settle(this.#counter);
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
    }
  }

  get report(): CountReport {
    const counter = this.#counter;
    return {
      state: this.#state,
      counter:
        counter === undefined
          ? { make: 'none' }
          : {
              make: counter.make,
              name: counter.name,
              ...(this.#reading === undefined ? {} : { value: this.#reading.value, mark: this.#reading.mark }),
            },
      journal: (this.#counter !== undefined || this.#tied ? this.#journal?.value : undefined) ?? null,
    };
  }

  /**
   * That units may be taken, as far as is known without asking the counter.
   * @throws KeysteadError `keyd.journal-rolled-back`, `keyd.counter-replaced`, `keyd.counter-missing`.
   */
  require(): void {
    if (this.#state === 'missing') {
      throw new KeysteadError('keyd.counter-missing', {
        field: 'counter.json',
        seen: `none, the journal at ${this.#journal?.value}`,
      });
    }
    if (this.#state !== 'rolled-back' && this.#state !== 'replaced') return;
    const code = this.#state === 'rolled-back' ? 'keyd.journal-rolled-back' : 'keyd.counter-replaced';
    const [counter, journal] = [this.#reading?.value, this.#journal?.value];
    const same = counter === journal ? ', with the mark of another journal' : '';
    const seen = `the counter is at ${counter}, the journal at ${journal ?? 'none'}${same}`;
    throw new KeysteadError(code, { field: 'journal', seen });
  }

  /** What an order to go on must name; asks the counter. @throws KeysteadError `recount.not-needed`, `keyd.counter-failed`. */
  async seen(): Promise<SeenCount> {
    const counter = this.#counter;
    if (counter === undefined) throw new KeysteadError('recount.not-needed', { field: 'counter', seen: 'no counter' });
    try {
      await this.#settle(counter);
    } catch (error) {
      if (this.#state === 'unreachable') throw error;
    }
    const reading = this.#reading;
    if ((this.#state !== 'rolled-back' && this.#state !== 'replaced') || reading === undefined) {
      throw new KeysteadError('recount.not-needed', { field: 'counter', seen: this.#state });
    }
    return { make: counter.make, name: counter.name, ...reading, journal: this.#journal?.value ?? null };
  }

  /**
   * Goes on from what the counter says, by an order that was verified: the entry that says so must be written next.
   * Returns what takes it back, for when it could not be written; it says whether it did.
   */
  goOnFrom({ value, mark }: CounterReading): () => boolean {
    const [journal, state] = [this.#journal, this.#state];
    this.#journal = { value, mark, before: mark };
    this.#state = 'level';
    return () => {
      // What stands in the journal stays, also where the counter could not be raised to it.
      if (this.#journal?.value !== value) return false;
      this.#journal = journal;
      this.#state = state;
      return true;
    };
  }

  counts(draft: JournalDraft): boolean {
    return this.#counter !== undefined && isCounted(draft);
  }

  /** @throws KeysteadError `keyd.counter-failed`, `keyd.journal-rolled-back`, `keyd.counter-replaced`. */
  async next(): Promise<CounterReading> {
    if (this.#counter !== undefined && this.#state !== 'level') await this.#settle(this.#counter);
    this.require();
    return { value: (this.#journal?.value ?? 0) + 1, mark: toHex(randomBytes(16)) };
  }

  /** @throws KeysteadError `keyd.counter-failed`, `keyd.journal-rolled-back`. */
  async cover({ value, mark }: CounterReading): Promise<void> {
    this.#advance(value, mark);
    if (this.#counter === undefined) return;
    try {
      await this.#counter.raise(value - 1, mark);
      this.#reading = { value, mark };
    } catch (cause) {
      // Whether the step was taken is not known: the next one asks first.
      this.#state = 'unreachable';
      if (cause instanceof KeysteadError && cause.code === 'counter.moved') await this.#settle(this.#counter);
      throw failed(cause);
    }
  }

  async close(): Promise<void> {
    await this.#counter?.close();
  }

  /** Asks the counter and goes by its answer. @throws KeysteadError `keyd.counter-failed`, `keyd.journal-rolled-back`, `keyd.counter-replaced`. */
  async #settle(counter: MonotonicCounter): Promise<void> {
    const journal = this.#journal;
    try {
      this.#reading = await counter.read();
      if (journal !== null && isOneBehind(this.#reading, journal)) {
        await counter.raise(this.#reading.value, journal.mark);
        this.#reading = journal;
      }
    } catch (cause) {
      this.#state = 'unreachable';
      throw failed(cause);
    }
    this.#state = stateOf(this.#reading, journal);
    this.require();
  }

  /**
   * The entry `count` of its own group stands before it, and is the step from where the recount goes on: what the counter
   * said then is what it says still where keyd ended between the two.
   */
  #replayRecount({ value, mark }: CounterReading): void {
    const step = this.#journal;
    const covered = step !== null && step.value === value + 1;
    this.#journal = covered ? { ...step, before: mark } : { value, mark, before: mark };
    this.#tied = true;
  }

  #advance(value: number, mark: string): void {
    this.#journal = { value, mark, before: this.#journal?.mark ?? mark };
    this.#tied = true;
  }
}

/** Journal written, step not taken: of what the counter says of its last step only this journal knows. */
const isOneBehind = ({ value, mark }: CounterReading, journal: Stand): boolean =>
  value === journal.value - 1 && (mark === journal.before || mark === journal.mark);

function stateOf({ value, mark }: CounterReading, journal: Stand | null): CountState {
  if (journal === null || value > journal.value) return 'rolled-back';
  if (value === journal.value) return mark === journal.mark ? 'level' : 'rolled-back';
  return value === journal.value - 1 ? 'rolled-back' : 'replaced';
}

function failed(cause: unknown): KeysteadError {
  const seen = cause instanceof KeysteadError ? `${cause.code}: ${cause.seen ?? cause.message}` : 'an error';
  return new KeysteadError('keyd.counter-failed', { field: 'counter', seen, cause });
}
