import { Worker } from 'node:worker_threads';
import type { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Pkcs11Configuration } from './configuration.ts';
import { type Refusal, refusalError } from './errors.ts';
import type { Answer, Failure, Order, OrderKind, Reply } from './orders.ts';

/** Making an RSA key takes a token seconds and a smart card minutes; opening may wait for a network. */
const PATIENT: readonly OrderKind[] = ['generate', 'open', 'finalize', 'close', 'read', 'destroy'];
const PATIENT_FACTOR = 12;

/** Whether the token has done what it was asked for is not known. */
const ENDED = { code: 'keystore.token-failed', field: 'token', seen: 'the thread of the token ended' } as const;

/** What a call of the token returned, for the pool to judge: perhaps the connection is lost and it is worth repeating. */
export class TokenRefusal extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(`${refusal.ckr} of ${refusal.call}`);
    this.refusal = refusal;
  }
}

/** A thread with one session, seen from the event loop: takes one order at a time, and never keeps anybody waiting for ever. */
export class TokenThread {
  readonly #worker: Worker;
  readonly #config: Pkcs11Configuration;
  #waiting: ((reply: Reply) => void) | undefined;
  #overdue = false;
  #ended = false;

  /**
   * @param onFree called when the thread may take orders again, or has ended; with what was refused where nobody waits for
   *   that any more: an order that was given up has come to its end after all.
   */
  constructor(config: Pkcs11Configuration, onFree: (late?: Error) => void) {
    this.#config = config;
    this.#worker = new Worker(new URL('./thread/main.ts', import.meta.url), { env: {}, workerData: config });
    this.#worker.unref();
    this.#worker.on('message', (reply: Reply) => {
      if (this.#overdue) {
        this.#overdue = false;
        this.#settled(undefined);
        onFree('ok' in reply ? undefined : errorOf(reply));
      } else this.#settled(reply);
    });
    const lost = (error?: Error): void => {
      this.#ended = true;
      this.#overdue = false;
      this.#settled(error === undefined ? { error: ENDED } : { fault: error.stack ?? error.message });
      onFree();
    };
    this.#worker.on('error', lost);
    this.#worker.on('exit', () => lost());
  }

  get isIdle(): boolean {
    return this.#waiting === undefined && !this.#overdue && !this.#ended;
  }

  /** Its call has taken longer than a call may, and is not over. */
  get isStuck(): boolean {
    return this.#overdue;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  /**
   * Carries out one order; the thread must be idle.
   * @param left called when the token has been left, also when that is long after the promise was rejected.
   * @throws TokenRefusal. @throws KeysteadError `keystore.token-slow`, and what the thread throws.
   */
  ask<Kind extends OrderKind>(order: Order<Kind>, left: () => void = () => {}): Promise<Answer<Kind>> {
    const seconds = this.#config.callSeconds * (PATIENT.includes(order.kind) ? PATIENT_FACTOR : 1);
    return new Promise((resolve, reject) => {
      try {
        this.#worker.postMessage(order);
      } catch (error) {
        left();
        throw error;
      }
      // Somebody waits for this: the process does not end meanwhile.
      this.#worker.ref();
      const deadline = setTimeout(() => {
        this.#overdue = true;
        this.#worker.unref();
        reject(new KeysteadError('keystore.token-slow', { field: 'token', seen: `more than ${seconds} s` }));
      }, seconds * 1000);
      this.#waiting = (reply) => {
        clearTimeout(deadline);
        left();
        if (reply !== undefined && 'ok' in reply) resolve(reply.ok as Answer<Kind>);
        else if (reply !== undefined) reject(errorOf(reply));
      };
    });
  }

  /** Ends the thread; one that is stuck ends when its call does. */
  end(): void {
    this.#worker.unref();
    if (!this.#ended) void this.#worker.terminate();
  }

  #settled(reply: Reply | undefined): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    this.#worker.unref();
    waiting?.(reply as Reply);
  }
}

/** The error of a failure; the token's own refusals stay what they are, for the pool to judge. */
export function errorOf(failure: Failure): Error {
  if ('refusal' in failure) return new TokenRefusal(failure.refusal);
  if ('error' in failure) return new KeysteadError(failure.error.code, failure.error);
  return new Error(failure.fault);
}

/** For what leaves the keystore: one kind of error. */
export function toldError(error: unknown, field = 'token'): unknown {
  return error instanceof TokenRefusal ? refusalError(error.refusal, field) : error;
}

/** A secret on its way to a thread, in memory that both see: whoever has done with it zeroes it for both. */
export function sharedCopyOf(secret: SecretBytes): SharedArrayBuffer {
  return secret.use((bytes) => {
    const shared = new SharedArrayBuffer(bytes.length);
    new Uint8Array(shared).set(bytes);
    return shared;
  });
}
