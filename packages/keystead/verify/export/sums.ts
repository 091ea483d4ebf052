import { KeysteadError } from '@keystead/core/errors';

/** The list of all files of an export, as `sha256sum` writes and checks it. */
export const SUMS = 'SHA256SUMS';

const LINE = /^([0-9a-f]{64}) {2}((?:[A-Za-z0-9_-][A-Za-z0-9._-]*\/)?[A-Za-z0-9_-][A-Za-z0-9._-]*)$/;

/** A line of it. @param path below the directory, at most one folder deep. */
export const sumLine = (sha256: string, path: string): string => `${sha256}  ${path}\n`;

/**
 * The files of an export and their hashes, in the order of the list. It has one form only, so that no octet of it can be
 * changed without notice.
 * @throws KeysteadError `record.export-damaged`.
 */
export function readSums(text: string): Map<string, string> {
  const sums = new Map<string, string>();
  if (!text.endsWith('\n')) throw damaged('its last line is cut off');
  for (const [index, line] of text.slice(0, -1).split('\n').entries()) {
    const [, sha256, path] = LINE.exec(line) ?? [];
    if (sha256 === undefined || path === undefined) throw damaged(`line ${index + 1} is none of sha256sum`);
    if (sums.has(path)) throw damaged(`${path} stands there twice`);
    sums.set(path, sha256);
  }
  return sums;
}

const damaged = (seen: string): KeysteadError => new KeysteadError('record.export-damaged', { field: SUMS, seen });
