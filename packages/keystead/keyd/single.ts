import { statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { KeysteadError } from '@keystead/core/errors';

/** Holds the right to be the one keyd of a directory until it is released or the process ends, however it ends. */
export interface SoleRight {
  release(): void;
}

/**
 * Two keyds on one directory would each count quotas by themselves and sign two logs. Node.js has no flock; but the
 * kernel gives an abstract socket address (unix(7)) to one process only and frees it when that process dies, also by
 * SIGKILL, with nothing left to clean up. Its name is the directory's device and inode, so a second path to the same
 * directory is no way round. Trusted for: processes of one network namespace. Another local user could take the
 * name, and then keyd does not start; it could not make two of them start.
 * @throws KeysteadError `keyd.already-running`.
 */
export async function becomeSole(dir: string): Promise<SoleRight> {
  const { dev, ino } = statSync(dir);
  const server = createServer((socket) => socket.destroy());
  try {
    await listenAbstract(server, `\0keystead-keyd/${dev}/${ino}`);
  } catch (cause) {
    throw new KeysteadError('keyd.already-running', { field: dir, cause });
  }
  server.unref();
  return { release: () => server.close() };
}

function listenAbstract(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}
