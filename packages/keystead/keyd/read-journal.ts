import { closeSync, openSync, readSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import { type JournalEntry, JournalEntrySchema } from './journal-entry.ts';

const CHUNK = 1024 * 1024;
const LINE_FEED = 0x0a;
/** The longest entry is a CRL with 100,000 fresh revocations: 8 MiB. */
const MAX_LINE = 32 * 1024 * 1024;

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
export function* linesOf(path: string, from = 0): Generator<{ text: string; end: number }> {
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

/** @param number of the entry, where it is known. @throws KeysteadError `keyd.journal-damaged`. */
export function entryOf(text: string, number: number | undefined, path: string): JournalEntry {
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
