import { parentPort, workerData } from 'node:worker_threads';
import { type LookOrder, type LookProgress, lookForSharedFactors, type WeakPair } from './look.ts';

/** What the thread says. After `pairs` it waits for a word that they are taken care of. */
export type LookMessage =
  | { readonly pairs: readonly WeakPair[]; readonly progress: LookProgress }
  | { readonly done: LookProgress };

const order: LookOrder = workerData;

/** The arithmetic takes seconds to minutes: a thread of its own, which holds no key and changes no record. */
const progress = await lookForSharedFactors(order, (pairs, so) => {
  const heard = new Promise<void>((resolve) => parentPort?.once('message', () => resolve()));
  const message: LookMessage = { pairs, progress: so };
  parentPort?.postMessage(message);
  return heard;
});
const end: LookMessage = { done: progress };
parentPort?.postMessage(end);
