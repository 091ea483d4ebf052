import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { DerCertificate, DerSpki } from '@keystead/core/bytes';
import { type ErrorCode, KeysteadError } from '@keystead/core/errors';
import { type Check, type CheckFacts, Checks, type RequestCheck, type SignedCheck } from './checks.ts';

/** What a thread found: the result, the rule that was broken, or a fault of the program. */
export type Verdict =
  | { readonly ok: Uint8Array }
  | { readonly error: { code: ErrorCode; field?: string; seen?: string; remedy?: string } }
  | { readonly fault: string };

interface Waiting {
  readonly check: Check;
  readonly resolve: (result: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  /** Sent and not yet answered, in the order in which they are answered. */
  readonly batches: Waiting[][];
  load: number;
  online: boolean;
}

/** Fewer than this at once are checked here: handing over costs more, and one request alone is answered sooner. */
const HAND_OVER_FROM = 4;
/** A thread with this many to do gets no more; what is over is checked here meanwhile, so that no core is idle. */
const MOST_PER_THREAD = 48;
const MOST_THREADS = 6;
/** What is checked here in one turn of the event loop: about a millisecond. */
const HERE_PER_TURN = 12;

/**
 * Checks requests and signatures, under load on several threads. The threads hold no keys; all signing, and every
 * decision that changes state, stays on the one thread that owns them.
 */
export class CheckPool {
  readonly #facts: CheckFacts;
  readonly #here: Checks;
  readonly #threads: Thread[] = [];
  readonly #size: number;
  #queue: Waiting[] = [];
  #scheduled = false;
  #closed = false;

  /** @param size threads besides this one; by default one less than there are processors. */
  constructor(facts: CheckFacts, size = Math.min(availableParallelism() - 1, MOST_THREADS)) {
    const { policy, issuers, weakKeys } = facts;
    this.#facts = { policy, issuers: issuers.map(({ id, certificate }) => ({ id, certificate })), weakKeys };
    this.#here = new Checks(facts);
    this.#size = size;
  }

  /** The key of an acceptable request. @throws KeysteadError `csr.*`, `key.*`. */
  async request(check: Omit<RequestCheck, 'kind'>): Promise<DerSpki> {
    return (await this.#check({ kind: 'request', ...check })) as DerSpki;
  }

  /** The certificate around a good signature. @throws KeysteadError `keyd.signature-faulty`, `certificate.lint-failed`. */
  async signed(check: Omit<SignedCheck, 'kind'>): Promise<DerCertificate> {
    return (await this.#check({ kind: 'signed', ...check })) as DerCertificate;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  #check(check: Check): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ check, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#distribute();
    });
  }

  #distribute(): void {
    const queue = this.#queue;
    this.#queue = [];
    if (queue.length >= HAND_OVER_FROM) this.#grow();
    let at = 0;
    for (const thread of this.#threads) {
      if (!thread.online || queue.length < HAND_OVER_FROM) continue;
      // A share for each thread and one for this one.
      const share = Math.ceil((queue.length * 1.2) / (this.#threads.length + 1));
      const batch = queue.slice(at, at + Math.min(share, MOST_PER_THREAD - thread.load));
      if (batch.length === 0) continue;
      at += batch.length;
      thread.load += batch.length;
      thread.batches.push(batch);
      thread.worker.postMessage(batch.map((one) => one.check));
    }
    // The rest waits for the next turn: by then a thread may be free, and answers have gone out.
    this.#queue = queue.slice(at + HERE_PER_TURN);
    if (this.#queue.length > 0) this.#schedule();
    for (const one of queue.slice(at, at + HERE_PER_TURN)) this.#do(one);
  }

  /** Starts the threads when there is work for them the first time. */
  #grow(): void {
    if (this.#closed) return;
    while (this.#threads.length < this.#size) this.#threads.push(this.#start());
  }

  #start(): Thread {
    const worker = new Worker(new URL('./check-thread.ts', import.meta.url), { env: {}, workerData: this.#facts });
    const thread: Thread = { worker, batches: [], load: 0, online: false };
    worker.unref();
    worker.on('online', () => {
      thread.online = true;
    });
    worker.on('message', (verdicts: readonly Verdict[]) => {
      const batch = thread.batches.shift() ?? [];
      thread.load -= batch.length;
      for (const [index, one] of batch.entries()) settle(one, verdicts[index]);
    });
    worker.on('error', () => this.#lost(thread));
    worker.on('exit', () => this.#lost(thread));
    return thread;
  }

  #do({ check, resolve, reject }: Waiting): void {
    try {
      resolve(this.#here.carryOut(check));
    } catch (error) {
      reject(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** A thread that ended leaves its work undone: it is done here. */
  #lost(thread: Thread): void {
    const index = this.#threads.indexOf(thread);
    if (index >= 0) this.#threads.splice(index, 1);
    for (const one of thread.batches.splice(0).flat()) this.#do(one);
  }
}

function settle({ resolve, reject }: Waiting, verdict: Verdict | undefined): void {
  if (verdict === undefined) reject(new Error('a thread gave fewer verdicts than it was asked for'));
  else if ('ok' in verdict) resolve(verdict.ok);
  else if ('fault' in verdict) reject(new Error(verdict.fault));
  else reject(new KeysteadError(verdict.error.code, verdict.error));
}
