import { Worker } from 'node:worker_threads';
import { KeysteadError } from '@keystead/core/errors';
import type { ScanMessage } from './scan-thread.ts';

/** What a scan of an image leaves to say: encrypted keys and what could not be unpacked do not refuse it. */
export interface ScanNotes {
  readonly encrypted: number;
  readonly unread: number;
}

/**
 * Scans an image for private keys, in a thread of its own: at 100 MB/s a large one would keep every other request
 * waiting. REQ-KEY-STO-02
 * @throws KeysteadError `signing.private-key` with the form and the place of the first one in the clear.
 */
export async function requireNoPrivateKey(path: string): Promise<ScanNotes> {
  const { clear, encrypted, unread } = await scanInThread(path);
  if (clear !== undefined) {
    const inside = clear.where === path ? '' : ` in ${clear.where.slice(path.length)}`;
    const key = clear.key === undefined ? '' : `${clear.key}, `;
    const seen = `a private key (${key}${clear.form}) at offset ${clear.offset}${inside}`;
    throw new KeysteadError('signing.private-key', { field: 'image', seen });
  }
  return { encrypted, unread };
}

function scanInThread(path: string): Promise<ScanMessage> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./scan-thread.ts', import.meta.url), { workerData: path });
    worker.on('message', resolve);
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`the scan for private keys ended with ${code}`)));
  });
}
