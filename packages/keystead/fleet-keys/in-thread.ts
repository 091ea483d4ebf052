import { Worker } from 'node:worker_threads';
import type { LookOrder, LookProgress, WeakPair } from './look.ts';
import type { LookMessage } from './look-thread.ts';

/** A look that is under way in a thread. */
export interface RunningLook {
  readonly done: Promise<LookProgress>;
  /** Ends it where it is; the next one goes on from there. `done` rejects then, unless it had ended. */
  stop(): Promise<void>;
}

/** As `lookForSharedFactors`, in a thread of its own. */
export function lookInThread(
  order: LookOrder,
  told: (pairs: readonly WeakPair[], progress: LookProgress) => Promise<void>,
): RunningLook {
  const worker = new Worker(new URL('./look-thread.ts', import.meta.url), { workerData: order });
  const done = new Promise<LookProgress>((resolve, reject) => {
    worker.on('message', (message: LookMessage) => {
      if ('done' in message) resolve(message.done);
      else told(message.pairs, message.progress).then(() => worker.postMessage('taken care of'), reject);
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`the look for shared factors ended with ${code}`)));
  });
  // Whoever stops it does not wait for it.
  done.catch(() => worker.terminate());
  return {
    done,
    stop: async () => {
      await worker.terminate();
    },
  };
}
