import { lstatSync, readFileSync, type Stats } from 'node:fs';
import { basename } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';

/** A file of an export is small. */
export const MOST_BYTES = 1024 * 1024;
/** The list of 100,000 records is 30 MB. */
export const MOST_LIST_BYTES = 256 * 1024 * 1024;

/**
 * The content of a file of an export, which came from somebody else: a link leads elsewhere, a pipe or a device never
 * ends. None of them is followed or opened.
 * @throws KeysteadError `record.export-damaged` for what is no plain file of at most `most` bytes.
 */
export function readListed(path: string, most: number): Buffer {
  const found = statusOf(path);
  if (found === undefined) throw damaged(path, 'it is missing');
  if (!found.isFile()) throw damaged(path, 'it is no plain file');
  if (found.size > most) throw damaged(path, `${found.size} bytes`);
  return readFileSync(path);
}

/** The same as text, UTF-8. */
export const textOf = (path: string, most = MOST_BYTES): string => readListed(path, most).toString('utf8');

/** Undefined for what is not there, also because what should be its folder is a file. @throws Error of node:fs. */
function statusOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOTDIR') return undefined;
    throw error;
  }
}

const damaged = (path: string, seen: string): KeysteadError =>
  new KeysteadError('record.export-damaged', { field: basename(path), seen });
