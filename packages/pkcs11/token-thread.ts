import { Worker } from 'node:worker_threads';
import { KeysteadError } from '@keystead/core/errors';
import type { Pkcs11Configuration } from './configuration.ts';
import { type Refusal, refusalError } from './errors.ts';
import type { Answer, Failure, Order, OrderKind, Reply } from './orders.ts';

/** Making an RSA key takes a token seconds and a smart card minutes; opening may wait for a network. */
const PATIENT: readonly OrderKind[] = ['generate', 'open', 'finalize', 'close', 'read', 'destroy'];
const PATIENT_FACTOR = 12;

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

  /** @param onFree called when an order that was given up has come to its end after all. */
  constructor(config: Pkcs11Configuration, onFree: () => void) {
    this.#config = config;
    this.#worker = new Worker(new URL('./thread/main.ts', import.meta.url), { env: {}, workerData: config });
    this.#worker.unref();
    this.#worker.on('message', (reply: Reply) => {
      if (this.#overdue) {
        this.#overdue = false;
        this.#settled(undefined);
        onFree();
      } else this.#settled(reply);
    });
    const lost = (error?: Error): void => {
      this.#ended = true;
      this.#overdue = false;
      this.#settled({ fault: error?.stack ?? 'the thread of the token ended' });
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
    // Somebody waits for this: the process does not end meanwhile.
    this.#worker.ref();
    return new Promise((resolve, reject) => {
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
      this.#worker.postMessage(order);
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
