import { closeSync, existsSync, fdatasyncSync, ftruncateSync, openSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { syncDirectory } from '../files/durable.ts';
import type { CounterReading } from '../keystore/index.ts';
import type { JournalDraft, JournalEntry } from './journal-entry.ts';
import { entryOf, type JournalPage, linesOf, readJournal } from './read-journal.ts';

export type { JournalEntry } from './journal-entry.ts';

/** Ties groups of entries to a counter; see unit-count.ts. */
export interface GroupCount {
  /** Whether an entry must be covered by the counter before it is acknowledged. */
  counts(draft: JournalDraft): boolean;
  /** The value that covers the next group. @throws KeysteadError when there can be none; nothing is written then. */
  next(): Promise<CounterReading>;
  /** Raises the counter to what stands durably in the journal. @throws KeysteadError when that is not sure. */
  cover(step: CounterReading): Promise<void>;
}

interface Queued {
  readonly draft: JournalDraft;
  readonly resolve: () => void;
  readonly reject: (error: KeysteadError) => void;
}

/**
 * keyd's own count of what it signed: JSON lines, only ever appended to. Quotas and revocations are made again from
 * it at each start. Entries that come while a write is under way share the next one, so that durability costs one
 * fdatasync for many signatures, and one step of the counter that the journal is tied to. REQ-KEY-STO-03,
 * REQ-KEY-AUD-01, REQ-KEY-PROV-01
 *
 * Trusted for: what it acknowledged survives a power cut. Not for: someone who can write keyd's directory.
 */
export class Journal {
  readonly #file: FileHandle;
  readonly #path: string;
  /** Bytes and entries that are durable. */
  #length: number;
  #durable: number;
  readonly #count: GroupCount | undefined;
  #queue: Queued[] = [];
  #writing: Promise<void> | undefined;
  #broken: KeysteadError | undefined;

  private constructor(path: string, file: FileHandle, length: number, number: number, count?: GroupCount) {
    this.#path = path;
    this.#file = file;
    this.#length = length;
    this.#durable = number;
    this.#count = count;
  }

  /**
   * Opens or creates the journal and tells every entry to `replay`, in order. A last line without an end was never
   * acknowledged: it is cut off.
   * @throws KeysteadError `keyd.journal-damaged` with the line for anything else that is not an entry.
   */
  static async open(path: string, replay: (entry: JournalEntry) => void, count?: GroupCount): Promise<Journal> {
    const created = !existsSync(path);
    let number = 0;
    let length = 0;
    if (!created) {
      for (const { text, end } of linesOf(path)) {
        const entry = entryOf(text, number + 1, path);
        number += 1;
        length = end;
        replay(entry);
      }
      cutOff(path, length);
    }
    const file = await open(path, created ? 'wx+' : 'r+', 0o600);
    if (created) syncDirectory(dirname(path));
    return new Journal(path, file, length, number, count);
  }

  /**
   * A piece of the journal, see {@link readJournal}. It ends before what is not yet durable: that may still be taken
   * back, and whoever had read beyond it would look for what comes next where there is no line.
   */
  read(from: number, limit: number): JournalPage {
    return readJournal(this.#path, from, limit, this.#length);
  }

  /** Number of durable entries. */
  get entries(): number {
    return this.#durable;
  }

  /**
   * Appends an entry; resolves when it is on the disk, and where it takes a unit the counter has covered it.
   * @throws KeysteadError `keyd.journal-failed`; the entry is then not in the journal. `keyd.counter-failed`,
   *   `keyd.journal-rolled-back`, `keyd.counter-replaced`; it may stand there then, and nothing may be signed by it.
   */
  append(draft: JournalDraft): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise<void>((resolve, reject) => {
      this.#queue.push({ draft, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  /** Waits for what is under way and closes the file. */
  async close(): Promise<void> {
    await this.#writing;
    this.#broken ??= new KeysteadError('keyd.stopping');
    await this.#file.close();
  }

  async #write(): Promise<void> {
    // The rest of this turn of the event loop may bring more entries.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      if (!(await this.#writeGroup(await this.#coverable(batch)))) break;
    }
    this.#writing = undefined;
  }

  /** The entries of a group that can be written now, with the value that is to cover it where it takes units. */
  async #coverable(batch: readonly Queued[]): Promise<Group> {
    const count = this.#count;
    if (count === undefined || !batch.some(({ draft }) => count.counts(draft))) return { batch };
    try {
      return { batch, covered: { count, step: await count.next() } };
    } catch (error) {
      // What takes no unit does not wait for the counter: the next CRL, for one.
      for (const one of batch) if (count.counts(one.draft)) one.reject(asError(error));
      return { batch: batch.filter(({ draft }) => !count.counts(draft)) };
    }
  }

  /** Whether it may be gone on after it. */
  async #writeGroup({ batch, covered }: Group): Promise<boolean> {
    const drafts = batch.map(({ draft }) => draft);
    const [first] = drafts;
    if (first === undefined) return true;
    if (covered !== undefined) drafts.unshift({ time: first.time, kind: 'count', ...covered.step });
    const lines = drafts.map((draft, index) => `${JSON.stringify({ n: this.#durable + 1 + index, ...draft })}\n`);
    const bytes = Buffer.from(lines.join(''), 'utf8');
    try {
      await writeAll(this.#file, bytes, this.#length);
    } catch (cause) {
      await this.#refuseWrite(batch, cause);
      return true;
    }
    try {
      await this.#file.datasync();
    } catch (cause) {
      // The kernel marks what it could not write as clean: no later fdatasync would tell. Only a restart, which
      // reads what is there, knows again.
      this.#broken = this.#failure(cause);
      this.#reject(batch, this.#broken);
      return false;
    }
    this.#length += bytes.length;
    this.#durable += drafts.length;
    await settle(batch, covered);
    return true;
  }

  /** A full disk, most often: what part was written is taken back, and the next request may try again. */
  async #refuseWrite(batch: readonly Queued[], cause: unknown): Promise<void> {
    const error = this.#failure(cause);
    this.#broken = error;
    try {
      await this.#file.truncate(this.#length);
      await this.#file.datasync();
      this.#broken = undefined;
    } catch {
      // It stays broken.
    }
    this.#reject(batch, error);
  }

  /** Everything that waits fails with the batch: it would find the same disk. */
  #reject(batch: readonly Queued[], error: KeysteadError): void {
    const waiting = this.#queue;
    this.#queue = [];
    for (const one of [...batch, ...waiting]) one.reject(error);
  }

  #failure(cause: unknown): KeysteadError {
    return new KeysteadError('keyd.journal-failed', {
      field: this.#path,
      seen: cause instanceof Error && 'code' in cause ? String(cause.code) : 'an error',
      cause,
    });
  }
}

interface Group {
  readonly batch: readonly Queued[];
  readonly covered?: { readonly count: GroupCount; readonly step: CounterReading };
}

/** Acknowledges a group that is durable: what takes units when the counter has covered it, and the rest before. */
async function settle(batch: readonly Queued[], covered: Group['covered']): Promise<void> {
  const waits = batch.filter(({ draft }) => covered?.count.counts(draft) === true);
  for (const one of batch) if (!waits.includes(one)) one.resolve();
  if (covered === undefined) return;
  try {
    await covered.count.cover(covered.step);
    for (const one of waits) one.resolve();
  } catch (error) {
    for (const one of waits) one.reject(asError(error));
  }
}

const asError = (error: unknown): KeysteadError =>
  error instanceof KeysteadError ? error : new KeysteadError('internal.unexpected', { cause: error });

function cutOff(path: string, length: number): void {
  const file = openSync(path, 'r+');
  try {
    ftruncateSync(file, length);
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
