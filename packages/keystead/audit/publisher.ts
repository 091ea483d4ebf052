import type { SignedCheckpoint } from '@keystead/core/log';
import { LogDirectory, type LogFiles } from './log-directory.ts';
import { type Published, type PublishingParts, publishOnce } from './publish.ts';
import { recover } from './recover.ts';
import { nodeTimers, type Timers } from './timers.ts';

export interface PublisherOptions extends Omit<PublishingParts, 'files' | 'heartbeatMs'> {
  /** The log's directory, or its files behind another interface. */
  readonly dir: string | LogFiles;
  /** At most one checkpoint in this time, unless one is asked for; entries that come meanwhile share the next. */
  readonly minIntervalMs?: number;
  /** How long a log in which nothing happens goes without a new signature. */
  readonly heartbeatMs?: number;
  readonly timers?: Timers;
  /** Told of each failure to publish. Nothing is lost by one: the entries are in the database, and it is tried again. */
  readonly onError?: (error: unknown) => void;
}

const DEFAULT_INTERVAL_MS = 1_000;
const DEFAULT_HEARTBEAT_MS = 3_600_000;
/** How often the database is looked at when nobody says that there is something. */
const IDLE_MS = 10_000;
const LONGEST_RETRY_MS = 30_000;

interface Waiter {
  readonly seq: number;
  readonly resolve: (checkpoint: SignedCheckpoint) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Carries committed entries to the published log. It is trusted with nothing: what it writes is proven by keyd's
 * signature, and keyd lets it only append. If it stops, entries stay in the database and the log is behind; nothing
 * else changes. REQ-KEY-AUD-01
 */
export class LogPublisher {
  readonly #parts: PublishingParts;
  readonly #minIntervalMs: number;
  readonly #idleMs: number;
  readonly #timers: Timers;
  readonly #onError: (error: unknown) => void;
  /** Undefined before the first recovery and after each failure: then the disk says where we stand. */
  #state: Published | undefined;
  #latest: SignedCheckpoint | undefined;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #timer: { readonly due: number; readonly cancel: () => void } | undefined;
  #startedAt = Number.NEGATIVE_INFINITY;
  #nudged = false;
  #failures = 0;
  #closed = false;
  #waiters: Waiter[] = [];

  constructor(options: PublisherOptions) {
    const { dir, minIntervalMs, heartbeatMs = DEFAULT_HEARTBEAT_MS, timers, onError, ...parts } = options;
    this.#parts = { ...parts, heartbeatMs, files: typeof dir === 'string' ? new LogDirectory(dir) : dir };
    this.#minIntervalMs = minIntervalMs ?? DEFAULT_INTERVAL_MS;
    this.#idleMs = Math.min(heartbeatMs, IDLE_MS);
    this.#timers = timers ?? nodeTimers;
    this.#onError = onError ?? (() => {});
  }

  /** The last checkpoint that was published by this publisher, or found by it. */
  get checkpoint(): SignedCheckpoint | undefined {
    return this.#latest;
  }

  /** Recovers from a crash and publishes what is waiting. @throws KeysteadError `log.damaged`, `log.diverged`, … */
  async open(): Promise<void> {
    await this.flush();
  }

  /**
   * Says that entries are being committed. Returns at once; they are published when the interval allows. It may be
   * called before the commit: what a run then misses is found by the one that follows it.
   */
  nudge(): void {
    if (this.#closed) return;
    this.#nudged = true;
    const pause = this.#pause();
    // Never longer than the pause, also when the clock was set back.
    const wait = Math.min(pause, this.#startedAt + pause - this.#parts.clock.now().getTime());
    if (wait <= 0 && this.#running === undefined) this.#background();
    else this.#schedule(Math.max(0, wait));
  }

  /**
   * Publishes everything that is committed now, without waiting for the interval.
   * @throws KeysteadError of `publishOnce` and `recover`; what was not published then is tried again later.
   */
  flush(): Promise<void> {
    if (this.#running === undefined) return this.#start();
    // What runs may have read the database already: one more run, shared by all who ask meanwhile.
    this.#next ??= this.#running
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#start();
      });
    return this.#next;
  }

  /**
   * Resolves with a published checkpoint that covers the entry `seq`, which is committed. It is asked for at once.
   * @throws what the next attempt to publish throws.
   */
  covered(seq: number): Promise<SignedCheckpoint> {
    const latest = this.#latest;
    if (latest !== undefined && latest.size > seq) return Promise.resolve(latest);
    const promise = new Promise<SignedCheckpoint>((resolve, reject) => this.#waiters.push({ seq, resolve, reject }));
    this.flush().catch(this.#onError);
    return promise;
  }

  /** Publishes what is committed and stops. @throws as `flush`. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.flush();
  }

  #background(): void {
    this.flush().catch(this.#onError);
  }

  #pause(): number {
    return this.#failures === 0
      ? this.#minIntervalMs
      : Math.min(this.#minIntervalMs * 2 ** this.#failures, LONGEST_RETRY_MS);
  }

  #start(): Promise<void> {
    this.#startedAt = this.#parts.clock.now().getTime();
    const run = this.#run().finally(() => {
      this.#running = undefined;
    });
    this.#running = run;
    return run;
  }

  async #run(): Promise<void> {
    const from = this.#state;
    this.#state = undefined;
    try {
      const state = await publishOnce(this.#parts, from ?? (await recover(this.#parts.files, this.#parts.keys)));
      this.#state = state;
      this.#latest = state.checkpoint;
      this.#failures = 0;
      this.#release();
      this.#schedule(this.#nudged || state !== from ? this.#minIntervalMs : this.#idleMs);
      this.#nudged = false;
    } catch (error) {
      this.#failures = Math.min(this.#failures + 1, 20);
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const { reject } of waiters) reject(error);
      this.#schedule(this.#pause());
      throw error;
    }
  }

  /** The next run, after `ms` or sooner. */
  #schedule(ms: number): void {
    if (this.#closed) return;
    const due = this.#parts.clock.now().getTime() + ms;
    if (this.#timer !== undefined && this.#timer.due <= due) return;
    this.#timer?.cancel();
    const cancel = this.#timers.after(ms, () => {
      this.#timer = undefined;
      this.#background();
    });
    this.#timer = { due, cancel };
  }

  #release(): void {
    const latest = this.#latest;
    if (latest === undefined) return;
    const waiting = this.#waiters;
    this.#waiters = waiting.filter(({ seq }) => seq >= latest.size);
    for (const { seq, resolve } of waiting) if (seq < latest.size) resolve(latest);
  }
}
