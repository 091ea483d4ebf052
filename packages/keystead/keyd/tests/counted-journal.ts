import { SecretBytes } from '@keystead/core/crypto';
import type { CounterReading, MonotonicCounter } from '../../keystore/index.ts';
import { Journal } from '../journal.ts';
import type { JournalDraft, JournalEntry } from '../journal-entry.ts';
import { UnitCount } from '../unit-count.ts';

/** PIN of the token, and what authorizes the counter of the TPM. */
export const COUNT_PASSPHRASE = 'a passphrase of this test';
export const countPassphrase = (): SecretBytes => SecretBytes.copy(Buffer.from(COUNT_PASSPHRASE));

/** Where a run may end, as a power cut or SIGKILL ends it. */
export const END_POINTS = ['before the journal', 'before the counter', 'within the step', 'after the counter'] as const;
export type EndPoint = (typeof END_POINTS)[number];

/** A unit of a batch as keyd's journal has it: its number stands in the serial number. */
export const unitEntry = (number: number): JournalDraft => ({
  time: '2026-03-01T08:00:00.000Z',
  kind: 'certificate',
  serial: number.toString(16).padStart(8, '0'),
  issuer: 'manufacturing',
  profile: 'idevid',
  subject: `KS-${number}`,
  spkiSha256: number.toString(16).padStart(64, '0'),
  notBefore: '2026-03-01T08:00:00.000Z',
  notAfter: '2026-03-02T08:00:00.000Z',
  requestId: `r${number}`,
  ticket: { id: 'batch', sha256: '00', quota: 1000 },
});

/** A counter that a test ends its program at. */
export class EndingCounter implements MonotonicCounter {
  readonly make: MonotonicCounter['make'];
  readonly name: string;
  readonly #inner: MonotonicCounter;
  readonly #at: (point: EndPoint) => Promise<void> | void;

  constructor(inner: MonotonicCounter, at: (point: EndPoint) => Promise<void> | void) {
    this.#inner = inner;
    this.make = inner.make;
    this.name = inner.name;
    this.#at = at;
  }

  read(): Promise<CounterReading> {
    return this.#inner.read();
  }
  async raise(from: number, mark: string): Promise<void> {
    await this.#at('before the counter');
    await this.#inner.raise(from, mark);
    await this.#at('after the counter');
  }
  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** A journal that is tied to a counter, and how many units it knows of. */
export class CountedJournal {
  readonly count: UnitCount;
  readonly #journal: Journal;
  units: number;

  private constructor(journal: Journal, count: UnitCount, units: number) {
    this.#journal = journal;
    this.count = count;
    this.units = units;
  }

  static async open(path: string, counter: MonotonicCounter, base: number): Promise<CountedJournal> {
    const count = new UnitCount(counter, base);
    let units = 0;
    const replay = (entry: JournalEntry): void => {
      count.replay(entry);
      if (entry.kind === 'certificate') units += 1;
    };
    const journal = await Journal.open(path, replay, count);
    await count.start();
    return new CountedJournal(journal, count, units);
  }

  /** Takes the next unit. Returns its number when it is covered. */
  async take(): Promise<number> {
    this.count.require();
    this.units += 1;
    const number = this.units;
    await this.#journal.append(unitEntry(number));
    return number;
  }

  append(draft: JournalDraft): Promise<void> {
    return this.#journal.append(draft);
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}
