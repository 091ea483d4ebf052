import { closeSync, linkSync, openSync, readdirSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { asOwnerOf } from '../host/as-owner.ts';

/** Holds the right to be the one service of a directory until it is released or the process ends, however it ends. */
export interface SoleRight {
  release(): void;
}

const NUMBERED = /^sole\.([1-9]\d*)$/;

/**
 * Two keyds on one directory would each count quotas by themselves and sign two logs. Node.js has no flock; but the
 * kernel knows whether anyone listens on a Unix socket, also after SIGKILL, and, unlike an abstract address, a socket
 * in a directory is the same in every network namespace.
 *
 * The sockets are numbered, and the right belongs to who listens on the highest number. Whoever finds nobody there
 * takes the next number by link(2), which succeeds for one only; a socket gets its name when it listens already, so
 * that a living one is never taken for dead. Only numbers below the holder's are removed: who comes late to one of
 * those sees a higher one and begins again.
 * @param dir a directory of this user's own. Trusted for: processes of one machine. REQ-KEY-STO-03
 * @throws KeysteadError `keyd.already-running`.
 */
export async function becomeSole(dir: string): Promise<SoleRight> {
  const directory = openSync(dir, 'r');
  // Through the descriptor: a path of any length fits into the address of a socket (unix(7): 108 bytes).
  const address = (name: string): string => `/proc/self/fd/${directory}/${name}`;
  const own = `sole.${toHex(randomBytes(8))}.tmp`;
  const server = createServer((socket) => socket.destroy());
  try {
    // A command that root ran leaves its name behind: whoever the directory belongs to must be able to knock at it.
    await asOwnerOf(dir, () => listen(server, address(own)));
    for (;;) {
      const last = Math.max(0, ...numbersIn(dir));
      if (last > 0 && (await answers(address(`sole.${last}`)))) {
        throw new KeysteadError('keyd.already-running', { field: dir });
      }
      if (claim(dir, own, last + 1)) break;
    }
    rmSync(join(dir, own), { force: true });
  } catch (error) {
    server.close(() => closeSync(directory));
    throw error;
  }
  server.unref();
  // Its name stays: a number is never used twice.
  return { release: () => server.close(() => closeSync(directory)) };
}

const numbersIn = (dir: string): number[] =>
  readdirSync(dir).flatMap((name) => {
    const number = NUMBERED.exec(name)?.[1];
    return number === undefined ? [] : [Number(number)];
  });

/** Takes a number. Returns false when another was faster. */
function claim(dir: string, own: string, number: number): boolean {
  const name = join(dir, `sole.${number}`);
  try {
    linkSync(join(dir, own), name);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
  const numbers = numbersIn(dir);
  if (Math.max(...numbers) !== number) {
    rmSync(name, { force: true });
    return false;
  }
  for (const lower of numbers) if (lower < number) rmSync(join(dir, `sole.${lower}`), { force: true });
  return true;
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}

/** Whether someone listens: a stopped process and one whose queue is full do, one that ended does not. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      const code = 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') resolve(true);
      else if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(false);
      else reject(error);
    });
  });
}
