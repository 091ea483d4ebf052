import { parentPort, workerData } from 'node:worker_threads';
import { type Scanned, scanPath } from '../scan/index.ts';

/** What the thread says when it has looked at the whole image: every find, up to so many. */
export interface ScanMessage {
  readonly found: readonly Scanned[];
}

/** More tell no more: one is enough for a refusal. */
const MOST_FINDS = 100;

const path: string = workerData;
const found: Scanned[] = [];
for await (const one of scanPath(path)) {
  found.push(one);
  if (found.length >= MOST_FINDS) break;
}
const message: ScanMessage = { found };
parentPort?.postMessage(message);
