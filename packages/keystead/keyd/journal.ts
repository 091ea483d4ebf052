import { closeSync, existsSync, fdatasyncSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { syncDirectory } from '../files/durable.ts';
import { type JournalDraft, type JournalEntry, JournalEntrySchema } from './journal-entry.ts';

export type { JournalEntry } from './journal-entry.ts';

const CHUNK = 1024 * 1024;
const LINE_FEED = 0x0a;
/** The longest entry is a CRL with 100,000 fresh revocations: 8 MiB. */
const MAX_LINE = 32 * 1024 * 1024;

interface Queued {
  readonly line: Buffer;
  readonly resolve: () => void;
  readonly reject: (error: KeysteadError) => void;
}

/**
 * keyd's own count of what it signed: JSON lines, only ever appended to. Quotas and revocations are made again from
 * it at each start. Entries that come while a write is under way share the next one, so that durability costs one
 * fdatasync for many signatures. REQ-KEY-STO-03, REQ-KEY-AUD-01
 *
 * Trusted for: what it acknowledged survives a power cut. Not for: someone who can write keyd's directory.
 */
export class Journal {
  readonly #file: FileHandle;
  readonly #path: string;
  /** Bytes and entries that are durable. */
  #length: number;
  #durable: number;
  /** The number that was given last. */
  #number: number;
  #queue: Queued[] = [];
  #writing: Promise<void> | undefined;
  #broken: KeysteadError | undefined;

  private constructor(path: string, file: FileHandle, length: number, number: number) {
    this.#path = path;
    this.#file = file;
    this.#length = length;
    this.#durable = number;
    this.#number = number;
  }

  /**
   * Opens or creates the journal and tells every entry to `replay`, in order. A last line without an end was never
   * acknowledged: it is cut off.
   * @throws KeysteadError `keyd.journal-damaged` with the line for anything else that is not an entry.
   */
  static async open(path: string, replay: (entry: JournalEntry) => void): Promise<Journal> {
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
    return new Journal(path, file, length, number);
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
   * Appends an entry; resolves when it is on the disk.
   * @throws KeysteadError `keyd.journal-failed`; the entry is then not in the journal.
   */
  append(draft: JournalDraft): Promise<void> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    this.#number += 1;
    const line = Buffer.from(`${JSON.stringify({ n: this.#number, ...draft })}\n`, 'utf8');
    return new Promise<void>((resolve, reject) => {
      this.#queue.push({ line, resolve, reject });
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
      const bytes = Buffer.concat(batch.map((one) => one.line));
      try {
        await writeAll(this.#file, bytes, this.#length);
      } catch (cause) {
        await this.#refuseWrite(batch, cause);
        continue;
      }
      try {
        await this.#file.datasync();
      } catch (cause) {
        // The kernel marks what it could not write as clean: no later fdatasync would tell. Only a restart, which
        // reads what is there, knows again.
        this.#broken = this.#failure(cause);
        this.#reject(batch, this.#broken);
        break;
      }
      this.#length += bytes.length;
      this.#durable += batch.length;
      for (const one of batch) one.resolve();
    }
    this.#writing = undefined;
  }

  /** A full disk, most often: what part was written is taken back, and the next request may try again. */
  async #refuseWrite(batch: readonly Queued[], cause: unknown): Promise<void> {
    const error = this.#failure(cause);
    this.#broken = error;
    try {
      await this.#file.truncate(this.#length);
      await this.#file.datasync();
      this.#number = this.#durable;
      this.#broken = undefined;
    } catch {
      // It stays broken.
    }
    this.#reject(batch, error);
  }

  /** Everything that waits fails with the batch: its numbers would leave a gap. */
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

/** A piece of the journal for those who reconcile with it. */
export interface JournalPage {
  readonly entries: readonly JournalEntry[];
  /** Where the next page begins, bytes. */
  readonly next: number;
  readonly end: boolean;
}

/**
 * Reads at most `limit` entries from the byte `from` on, which must be 0 or a `next` of before. A last line without
 * an end is passed over, and so is what goes beyond the byte `until`. Also for auditors, who have only the file.
 * @throws KeysteadError `keyd.journal-damaged`, `request.malformed` when no entry begins at `from`.
 */
export function readJournal(
  path: string,
  from = 0,
  limit = Number.POSITIVE_INFINITY,
  until = Number.POSITIVE_INFINITY,
): JournalPage {
  const entries: JournalEntry[] = [];
  let next = from;
  for (const { text, end } of linesOf(path, from)) {
    if (end > until) break;
    if (entries.length >= limit) return { entries, next, end: false };
    try {
      entries.push(entryOf(text, undefined, path));
    } catch (error) {
      if (entries.length > 0 || from === 0) throw error;
      throw new KeysteadError('request.malformed', { field: 'from', seen: String(from), cause: error });
    }
    next = end;
  }
  return { entries, next, end: true };
}

/** The whole lines of a file with the byte behind each. */
function* linesOf(path: string, from = 0): Generator<{ text: string; end: number }> {
  const file = openSync(path, 'r');
  try {
    let held = Buffer.alloc(0);
    let at = from;
    const chunk = Buffer.alloc(CHUNK);
    for (;;) {
      const count = readSync(file, chunk, 0, CHUNK, at + held.length);
      if (count === 0) return;
      const bytes = Buffer.concat([held, chunk.subarray(0, count)]);
      let start = 0;
      for (let stop = bytes.indexOf(LINE_FEED); stop >= 0; stop = bytes.indexOf(LINE_FEED, start)) {
        yield { text: bytes.toString('utf8', start, stop), end: at + stop + 1 };
        start = stop + 1;
      }
      held = bytes.subarray(start);
      if (held.length > MAX_LINE) {
        throw new KeysteadError('keyd.journal-damaged', { field: path, seen: `a line of more than ${MAX_LINE} bytes` });
      }
      at += start;
    }
  } finally {
    closeSync(file);
  }
}

function entryOf(text: string, number: number | undefined, path: string): JournalEntry {
  const damaged = (seen: string): KeysteadError =>
    new KeysteadError('keyd.journal-damaged', { field: `${path} entry ${number ?? '?'}`, seen });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw damaged('a line that is not JSON');
  }
  const parsed = JournalEntrySchema.safeParse(value);
  if (!parsed.success) throw damaged(parsed.error.issues[0]?.message ?? 'not an entry');
  if (number !== undefined && parsed.data.n !== number) throw damaged(`the number ${parsed.data.n}`);
  return parsed.data;
}

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
