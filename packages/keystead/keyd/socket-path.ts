import { lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Layout } from '../files/layout.ts';

/** unix(7): sun_path has 108 bytes with its end; some systems have less. */
const LONGEST = 100;

/**
 * Where keyd listens: in its own directory, or, when that path is too long for a socket, in a directory of this user
 * under the temporary directory, by a name that both ends work out from the data directory.
 */
export function keydSocketPath(layout: Layout): string {
  const usual = join(layout.keyd, 'run', 'keyd.sock');
  if (Buffer.byteLength(usual) <= LONGEST) return usual;
  const name = toHex(sha256(Buffer.from(layout.keyd, 'utf8'))).slice(0, 16);
  return join(tmpdir(), `keystead-${process.getuid?.() ?? 0}-${name}`, 'keyd.sock');
}

/**
 * Makes the socket's directory so that nobody else can enter it. What stands there already under a name that others
 * could have guessed is taken only when it is a directory of this user and closed to all others.
 * @throws KeysteadError `keyd.directory-exposed`.
 */
export function makeSocketDirectory(socketPath: string): void {
  const dir = dirname(socketPath);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stats = lstatSync(dir);
  const own = stats.isDirectory() && stats.uid === (process.getuid?.() ?? stats.uid);
  if (own && (stats.mode & 0o077) === 0) return;
  throw new KeysteadError('keyd.directory-exposed', {
    field: dir,
    seen: `mode ${(stats.mode & 0o777).toString(8)}, owner ${stats.uid}`,
  });
}
