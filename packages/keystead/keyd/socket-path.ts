import { constants, lstatSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import type { Layout } from '../files/layout.ts';

/** unix(7): sun_path has 108 bytes with its end; some systems have less. */
const LONGEST = 100;
const NAME = 'keyd.sock';
/** open(2): a descriptor that only names a directory; it needs no right to read it. Node.js has no name for it. */
const O_PATH = 0o10000000;

/**
 * Where keyd listens, as this process can name it: in `run/` of the data directory. A path that is too long for the
 * address of a socket goes through a descriptor of the directory, which stays open with the process.
 * @throws Error of node:fs when the path is long and the directory is not there.
 */
export function keydSocketPath(layout: Layout): string {
  const usual = join(layout.run, NAME);
  if (Buffer.byteLength(usual) <= LONGEST) return usual;
  return `/proc/self/fd/${openSync(layout.run, O_PATH | constants.O_DIRECTORY)}/${NAME}`;
}

/**
 * Makes keyd's `run/` when it is not there, closed to all others. One that is there is taken when it belongs to this
 * user and nobody else may list it or write in it; its group may pass through when whoever separated the users said so
 * (mode 0710), and the socket is then for that group too.
 * @returns the mode for the socket.
 * @throws KeysteadError `keyd.directory-exposed`.
 */
export function makeSocketDirectory(dir: string): number {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stats = lstatSync(dir);
  const own = stats.isDirectory() && stats.uid === (process.getuid?.() ?? stats.uid);
  if (!own || (stats.mode & 0o067) !== 0) {
    throw new KeysteadError('keyd.directory-exposed', {
      field: dir,
      seen: `mode ${(stats.mode & 0o777).toString(8)}, owner ${stats.uid}`,
    });
  }
  return (stats.mode & 0o010) === 0 ? 0o600 : 0o660;
}
