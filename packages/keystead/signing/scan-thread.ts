import { parentPort, workerData } from 'node:worker_threads';
import { type Scanned, scanPath } from '../scan/index.ts';

/** What the thread says when it has looked at the whole image, or at a key in the clear. */
export interface ScanMessage {
  /** The first private key in the clear. */
  readonly clear: Extract<Scanned, { what: 'key' }> | undefined;
  readonly encrypted: number;
  readonly unread: number;
}

const path: string = workerData;
let clear: ScanMessage['clear'];
let encrypted = 0;
let unread = 0;
// Whatever is not refused is counted only: no number of such finds hides the key that comes after them.
for await (const one of scanPath(path)) {
  if (one.what === 'more') {
    encrypted += one.encrypted;
    unread += one.unread;
  } else if (one.what === 'unread') unread += 1;
  else if (one.encrypted) encrypted += 1;
  else {
    clear = one;
    break;
  }
}
const message: ScanMessage = { clear, encrypted, unread };
parentPort?.postMessage(message);
