import type { FileHandle } from 'node:fs/promises';
import { KeysteadError } from '@keystead/core/errors';
import { MAX_NOTE_LENGTH } from '@keystead/core/log';

/*
 * The archive of checkpoints: every signed note that was published, in order, each followed by one empty line. A note
 * holds exactly one empty line itself, so that every second one ends a record.
 */

const LF = 0x0a;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** A note as a record of the archive. */
export const archiveRecord = (note: string): Uint8Array => Buffer.from(`${note}\n`);

export interface ArchiveScan {
  /** The whole notes, in order. */
  readonly notes: string[];
  /** How many bytes they take. What is behind them is the beginning of a record, or garbage. */
  readonly length: number;
}

/**
 * Takes whole notes from the start of `bytes`.
 * @throws KeysteadError `note.malformed` when a note is not UTF-8 or longer than a note can be.
 */
export function scanArchive(bytes: Uint8Array): ArchiveScan {
  const notes: string[] = [];
  let start = 0;
  for (;;) {
    const body = emptyLine(bytes, start);
    const end = body < 0 ? -1 : emptyLine(bytes, body + 2);
    if (end < 0) break;
    notes.push(decode(bytes.subarray(start, end + 1)));
    start = end + 2;
  }
  if (bytes.length - start > MAX_NOTE_LENGTH) throw new KeysteadError('note.malformed', { field: 'archive' });
  return { notes, length: start };
}

/**
 * The last note of the archive, from its last bytes, and how many bytes behind it belong to no whole note.
 * Undefined when there is no whole note.
 */
export function lastArchived(tail: Uint8Array): { note: string; torn: number } | undefined {
  // Records end in two newlines; a torn one may hold two newlines as well, between its body and its signatures.
  const ends: number[] = [];
  for (let at = 0; at + 1 < tail.length; at++) if (tail[at] === LF && tail[at + 1] === LF) ends.push(at);
  // Signature lines begin with an em dash and bodies do not: this tells a record's end from its middle.
  const isEnd = (at: number): boolean => lineBefore(tail, at).startsWith('— ');
  const end = ends.findLast(isEnd);
  if (end === undefined) return undefined;
  const before = ends.findLast((at) => at < end && isEnd(at));
  const start = before === undefined ? 0 : before + 2;
  return { note: decode(tail.subarray(start, end + 1)), torn: tail.length - (end + 2) };
}

/** The notes of an archive, read in pieces; `torn` is set when the file ends in the middle of a note. */
export async function* readArchive(
  file: FileHandle,
  length: number,
  pieceBytes = 256 * 1024,
): AsyncGenerator<string, { torn: boolean }> {
  let rest = new Uint8Array();
  for (let at = 0; at < length; ) {
    const piece = Buffer.alloc(Math.min(pieceBytes, length - at));
    const { bytesRead } = await file.read(piece, 0, piece.length, at);
    if (bytesRead === 0) break;
    at += bytesRead;
    rest = Buffer.concat([rest, piece.subarray(0, bytesRead)]);
    const { notes, length: used } = scanArchive(rest);
    yield* notes;
    rest = rest.subarray(used);
  }
  return { torn: rest.length > 0 };
}

function emptyLine(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) if (bytes[at + 1] === LF) return at;
  return -1;
}

function lineBefore(bytes: Uint8Array, end: number): string {
  return Buffer.from(bytes.subarray(bytes.lastIndexOf(LF, end - 1) + 1, end)).toString('utf8');
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new KeysteadError('note.malformed', { field: 'archive', cause });
  }
}
