import { closeSync, fstatSync, openSync, readdirSync, readSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { SecretBytes } from '@keystead/core/crypto';
import { type ErrorCode, KeysteadError } from '@keystead/core/errors';

/** Longer than any PIN that a token takes; the addon hands it on as text. */
const LONGEST_PIN = 64;

/**
 * The device secret, from a file that whoever starts the daemon has put there: a systemd credential, a secure element.
 * @throws KeysteadError `agent.secret` unless it is 32 bytes that nobody but its owner may read.
 */
export function readSecret(file: string): SecretBytes {
  return privately('agent.secret', file, 32, (bytes, length) => {
    if (length === 32) return SecretBytes.take(bytes.slice(0, 32));
    throw refused('agent.secret', file, length > 32 ? 'more than 32 bytes' : `${length} bytes`);
  });
}

/**
 * The PIN of the token, without the line end of its file. Never from the command line or the environment.
 * @param source a private file, such as a systemd credential, or a file descriptor that the daemon was started with,
 *   which is read once and closed.
 * @throws KeysteadError `agent.pin`.
 */
export function readPin(source: { readonly file: string } | { readonly fd: number }): SecretBytes {
  const field = 'file' in source ? source.file : `file descriptor ${source.fd}`;
  const pinOf = (bytes: Uint8Array, length: number): SecretBytes => {
    const end = bytes.subarray(0, length).findIndex((byte) => byte === 0x0a || byte === 0x0d);
    const line = end < 0 ? length : end;
    if (line > 0 && line <= LONGEST_PIN) return SecretBytes.take(bytes.slice(0, line));
    throw refused('agent.pin', field, line === 0 ? 'nothing' : `more than ${LONGEST_PIN} bytes`);
  };
  if ('file' in source) return privately('agent.pin', source.file, LONGEST_PIN + 2, pinOf);
  requireGiven(source.fd, field);
  try {
    return wholly(source.fd, LONGEST_PIN + 2, pinOf);
  } catch (cause) {
    if (cause instanceof KeysteadError) throw cause;
    throw refused('agent.pin', field, 'cannot be read', cause);
  }
}

/**
 * Node.js has descriptors of its own from 3 on, and reading and closing one of those ends the process in odd ways. What was
 * given is a file, a pipe or a socket; those of Node.js are none, but for its pipes, of which it has both ends.
 */
function requireGiven(fd: number, field: string): void {
  let stats: Stats;
  try {
    stats = fstatSync(fd);
  } catch (cause) {
    throw refused('agent.pin', field, 'cannot be read', cause);
  }
  const isGiven = stats.isFile() || stats.isSocket() || (stats.isFIFO() && !isElsewhere(stats, fd));
  if (!isGiven) throw refused('agent.pin', field, 'no file, pipe or socket that this process was given');
}

/** Whether another descriptor of this process is of the same pipe. */
function isElsewhere({ dev, ino }: Stats, fd: number): boolean {
  return readdirSync('/proc/self/fd').some((name) => {
    try {
      const other = fstatSync(Number(name));
      return Number(name) !== fd && other.dev === dev && other.ino === ino;
    } catch {
      // The one by which the directory was read.
      return false;
    }
  });
}

const refused = (code: ErrorCode, field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError(code, { field, seen, cause });

function privately<T>(code: ErrorCode, file: string, most: number, read: (bytes: Uint8Array, length: number) => T): T {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (cause) {
    throw refused(code, file, 'no file that can be read', cause);
  }
  const { mode } = fstatSync(descriptor);
  // A credential of systemd is its user's by an ACL, which shows as a group that may read.
  const open = dirname(file) === process.env.CREDENTIALS_DIRECTORY ? 0o037 : 0o077;
  if ((mode & open) !== 0) {
    closeSync(descriptor);
    throw refused(code, file, `mode ${(mode & 0o777).toString(8)}`);
  }
  return wholly(descriptor, most, read);
}

/** Reads to the end, or one byte more than there may be, into a buffer that is wiped; closes the descriptor. */
function wholly<T>(descriptor: number, most: number, read: (bytes: Uint8Array, length: number) => T): T {
  const bytes = new Uint8Array(most + 1);
  try {
    let length = 0;
    for (let got = 1; got > 0 && length < bytes.length; length += got)
      got = readSync(descriptor, bytes, length, bytes.length - length, null);
    return read(bytes, length);
  } finally {
    bytes.fill(0);
    closeSync(descriptor);
  }
}
