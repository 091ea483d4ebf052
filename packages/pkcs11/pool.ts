import { realpathSync } from 'node:fs';
import type { SecretBytes, SignatureScheme } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Pkcs11Configuration } from './configuration.ts';
import { connectionError, isRefusedLogin, repetitions } from './errors.ts';
import { ModuleInProcess } from './module-in-process.ts';
import type { Answer, KeyRef, Order, OrderKind, TokenFacts } from './orders.ts';
import { errorOf, sharedCopyOf, TokenRefusal, TokenThread, toldError } from './token-thread.ts';

/** Signatures in one message: more would only make the first of them wait. */
const MOST_IN_BATCH = 32;
/** After a connection that failed: everything is refused with its error, and only then is the token asked again. */
const REST_MS = 250;

interface SignJob {
  readonly key: KeyRef;
  readonly scheme: SignatureScheme;
  readonly data: Uint8Array;
  readonly resolve: (signature: Uint8Array) => void;
  readonly reject: (error: unknown) => void;
  tries: number;
}

interface OtherJob {
  readonly order: () => Order;
  readonly resolve: (answer: never) => void;
  readonly reject: (error: unknown) => void;
  tries: number;
}

/**
 * A few threads with a session each. Signatures are spread over all of them, many in one message; everything else is
 * the first thread's. What the token has lost (a session, the login, itself) is connected again: first
 * the sessions, then from the ground up, each a bounded number of times. A PIN that was refused is never tried again.
 * REQ-KEY-STO-01
 */
export class TokenPool {
  readonly #config: Pkcs11Configuration;
  readonly #pin: SecretBytes;
  readonly #module: ModuleInProcess;
  #threads: TokenThread[] = [];
  #signs: SignJob[] = [];
  #others: OtherJob[] = [];
  #generation = -1;
  /** Of the token that was opened first: another may come under its label, or into its slot. */
  #serial: string | undefined;
  #joined = false;
  #scheduled = false;
  #connecting = false;
  /** While it is set, everything is answered with it. */
  #refusing: KeysteadError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(config: Pkcs11Configuration, pin: SecretBytes) {
    this.#config = config;
    this.#pin = pin;
    this.#module = ModuleInProcess.at(libraryOf(config.module));
  }

  /**
   * @param pin taken over: wiped when the pool is closed, or when this fails.
   * @throws KeysteadError `keystore.*`.
   */
  static async open(config: Pkcs11Configuration, pin: SecretBytes): Promise<{ pool: TokenPool; facts: TokenFacts }> {
    const pool = new TokenPool(config, pin);
    try {
      const facts = await pool.#module.alone(pool.#patienceMs, () => {
        // Not before: a keystore that is just being closed must find itself the last, and finalize.
        pool.#module.join();
        pool.#joined = true;
        return pool.#openSessions();
      });
      return { pool, facts };
    } catch (error) {
      await pool.close();
      throw toldError(error);
    }
  }

  /** A signature, as `Signer.signBy` gives it. @throws KeysteadError `keystore.*`. */
  sign(key: KeyRef, scheme: SignatureScheme, data: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      this.#signs.push({ key, scheme, data, resolve, reject, tries: 0 });
      this.#schedule();
    });
  }

  /**
   * Anything else. @param order makes the order, again for each repetition: a secret in it is zeroed by the thread.
   * @throws KeysteadError `keystore.*`.
   */
  async ask<Kind extends OrderKind>(order: () => Order<Kind>): Promise<Answer<Kind>> {
    return new Promise((resolve, reject) => {
      this.#others.push({ order: order as () => Order, resolve, reject, tries: 0 });
      this.#schedule();
    });
  }

  /** Closes the sessions; what is under way is answered first. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const error = new KeysteadError('keystore.closed', { field: 'keystore', seen: 'token' });
    this.#refusing = error;
    this.#rejectAll(error);
    try {
      await this.#module.alone(this.#patienceMs, async () => {
        const finalize = this.#joined && this.#module.leave();
        for (const [index, thread] of this.#threads.entries()) {
          if (!thread.isIdle) continue;
          this.#module.stay();
          const order = { kind: 'close', finalize: finalize && index === this.#threads.length - 1 } as const;
          await thread.ask(order, () => this.#module.left());
        }
      });
    } catch {
      // A thread that hangs is left to its call; there is nobody to tell.
    } finally {
      for (const thread of this.#threads) thread.end();
      this.#pin.wipe();
    }
  }

  get #patienceMs(): number {
    return this.#config.callSeconds * 1000;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // What else this turn of the event loop asks for goes into the same message.
    setImmediate(() => {
      this.#scheduled = false;
      this.#distribute();
    });
  }

  #distribute(): void {
    if (this.#signs.length + this.#others.length === 0 || this.#connecting) return;
    if (this.#refusing !== undefined) {
      this.#rejectAll(this.#refusing);
      return;
    }
    if (this.#generation !== this.#module.generation || this.#threads.some((one) => one.hasEnded)) {
      void this.#connect(0);
      return;
    }
    for (const [index, thread] of this.#threads.entries()) {
      if (!thread.isIdle) continue;
      const other = index === 0 ? this.#others[0] : undefined;
      if (other === undefined && this.#signs.length === 0) continue;
      if (!this.#module.enter()) {
        this.#module.whenOpen(() => this.#schedule());
        return;
      }
      if (other !== undefined) {
        this.#others.shift();
        void this.#carryOut(thread, other);
      } else void this.#signBatch(thread);
    }
    this.#refuseWhatHangs();
  }

  /** With every thread in a call that does not end, waiting helps nobody. */
  #refuseWhatHangs(): void {
    const slow = new KeysteadError('keystore.token-slow', {
      field: 'token',
      seen: 'calls that do not end',
      remedy:
        'see the device and its network; if the calls never end, restart the service: each of them keeps its session',
    });
    if (this.#threads.every((one) => one.isStuck)) this.#rejectAll(slow);
    else if (this.#threads[0]?.isStuck === true) for (const { reject } of this.#others.splice(0)) reject(slow);
  }

  async #signBatch(thread: TokenThread): Promise<void> {
    const idle = this.#threads.filter((one) => one.isIdle).length;
    const share = Math.ceil(this.#signs.length / Math.max(1, idle));
    const batch = this.#signs.splice(0, Math.min(share, MOST_IN_BATCH));
    const keys = [...new Set(batch.map((job) => job.key))];
    const items = batch.map(({ key, scheme, data }) => ({ key: keys.indexOf(key), scheme, data }));
    try {
      const answers = await thread.ask({ kind: 'sign', keys, items }, () => this.#module.left());
      let worst: TokenRefusal | undefined;
      const again: SignJob[] = [];
      for (const [index, job] of batch.entries()) {
        const answer = answers[index];
        if (answer instanceof Uint8Array) job.resolve(answer);
        else {
          const error = answer === undefined ? new Error('a thread gave fewer answers') : errorOf(answer);
          if (!this.#isRepeated(job, error)) job.reject(toldError(error));
          else {
            again.push(job);
            worst = error;
          }
        }
      }
      if (worst !== undefined) {
        this.#signs.unshift(...again);
        void this.#connect(Math.max(...again.map((job) => job.tries)) - 1);
      }
    } catch (error) {
      for (const job of batch) job.reject(toldError(error));
    }
    this.#schedule();
  }

  async #carryOut(thread: TokenThread, job: OtherJob): Promise<void> {
    try {
      job.resolve((await thread.ask(this.#orderOf(job), () => this.#module.left())) as never);
    } catch (error) {
      if (this.#isRepeated(job, error)) {
        this.#others.unshift(job);
        void this.#connect(job.tries - 1);
      } else job.reject(toldError(error));
    }
    this.#schedule();
  }

  /** @throws what makes it throws, such as a secret that was wiped meanwhile: then the token is left as it was entered. */
  #orderOf(job: OtherJob): Order {
    try {
      return job.order();
    } catch (error) {
      this.#module.left();
      throw error;
    }
  }

  #isRepeated(job: { tries: number }, error: unknown): error is TokenRefusal {
    if (!(error instanceof TokenRefusal) || this.#closing !== undefined) return false;
    job.tries += 1;
    return job.tries <= repetitions(error.refusal);
  }

  /** Connects again. @param depth 0: the sessions; more: from the ground up. What fails is told to all who wait. */
  async #connect(depth: number): Promise<void> {
    if (this.#connecting) return;
    this.#connecting = true;
    try {
      await this.#module.alone(this.#patienceMs, () => this.#reopen(depth));
    } catch (thrown) {
      this.#refuse(thrown);
    } finally {
      this.#connecting = false;
      this.#schedule();
    }
  }

  async #reopen(depth: number): Promise<void> {
    if (this.#closing !== undefined) return;
    // The PIN may have been refused while this waited for the call that was late.
    if (this.#refusing !== undefined) throw this.#refusing;
    this.#generation = -1;
    if (depth === 0) {
      try {
        await this.#openSessions();
        return;
      } catch (error) {
        if (error instanceof KeysteadError && isRefusedLogin(error)) throw error;
        if (!this.#module.isEmpty) throw error;
        // Some modules see a token that is back only after C_Initialize.
      }
    }
    const [first] = this.#threads;
    if (first?.isIdle) {
      this.#module.stay();
      await first.ask({ kind: 'finalize' }, () => this.#module.left());
    }
    this.#module.generation += 1;
    await this.#openSessions();
  }

  #refuse(thrown: unknown): void {
    if (this.#closing !== undefined) return;
    const error = connectionError(toldError(thrown));
    this.#refusing = error;
    this.#rejectAll(error);
    // A refused PIN is refused for good: each attempt costs one of a few.
    if (error.code === 'keystore.login-lost') return;
    setTimeout(() => {
      if (this.#refusing === error) this.#refusing = undefined;
    }, REST_MS).unref();
  }

  /** @param late what an order was refused with that nobody waits for any more: a PIN that was refused late is refused. */
  #freed(late: Error | undefined): void {
    if (late instanceof KeysteadError && isRefusedLogin(late)) this.#refuse(late);
    this.#schedule();
  }

  /** A session for each thread; threads that ended are replaced. The caller is alone on the module. */
  async #openSessions(): Promise<TokenFacts> {
    this.#threads = this.#threads.filter((thread) => !thread.hasEnded);
    while (this.#threads.length < this.#config.sessions) {
      this.#threads.push(new TokenThread(this.#config, (late) => this.#freed(late)));
    }
    let facts: TokenFacts | undefined;
    for (const [index, thread] of this.#threads.entries()) {
      if (!thread.isIdle) throw new KeysteadError('keystore.token-slow', { field: 'token', seen: 'a call under way' });
      const pin = sharedCopyOf(this.#pin);
      this.#module.stay();
      const opened = await thread.ask({ kind: 'open', pin, readWrite: index === 0, serial: this.#serial }, () => {
        // Not when the thread is given up: it would log in with the zeros, and that costs an attempt.
        new Uint8Array(pin).fill(0);
        this.#module.left();
      });
      if (facts === undefined) {
        facts = opened;
        this.#serial = opened.token.serialNumber;
        this.#module.requireSamePin(opened.token.serialNumber, this.#pin, opened.loggedInBefore);
      }
    }
    this.#generation = this.#module.generation;
    if (facts === undefined) throw new TypeError('a pool without threads');
    return facts;
  }

  #rejectAll(error: KeysteadError): void {
    for (const job of [...this.#signs.splice(0), ...this.#others.splice(0)]) job.reject(error);
  }
}

/** Two names of one library are one module. */
function libraryOf(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
