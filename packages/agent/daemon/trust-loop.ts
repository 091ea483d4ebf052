import { randomBytes } from '@keystead/core/crypto';
import { nodeTimers, type Timers } from '../renewal/index.ts';
import type { TrustNews, TrustUpdater } from '../trust/index.ts';

export type TrustEvent =
  | TrustNews
  | { readonly type: 'trust-failed'; readonly error: unknown; readonly retrySeconds: number };

export interface TrustLoopOptions {
  readonly trust: Pick<TrustUpdater, 'update'>;
  readonly everySeconds: number;
  readonly timers?: Timers;
  /** Called after each look, when what it has brought is gone by. */
  readonly onEvent: (event: TrustEvent) => Promise<void>;
}

/** The first wait after a failure, seconds; each doubles, up to the usual one. */
const FIRST_RETRY_SECONDS = 5;

/** Asks for the newest bundle again and again; half of each wait is random, so that a fleet does not come all at once. */
export class TrustLoop {
  readonly #options: TrustLoopOptions;
  readonly #timers: Timers;
  #cancel: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #following: Promise<void> | undefined;
  #stopped = false;
  #failures = 0;

  constructor(options: TrustLoopOptions) {
    this.#options = options;
    this.#timers = options.timers ?? nodeTimers;
  }

  /** One look; resolves to the seconds until the next. Never throws: failures are events. */
  async step(): Promise<number> {
    const { trust, everySeconds, onEvent } = this.#options;
    try {
      const news = await trust.update();
      this.#failures = 0;
      await onEvent(news);
      return jittered(everySeconds);
    } catch (error) {
      this.#failures += 1;
      const retrySeconds = jittered(
        Math.min(everySeconds, FIRST_RETRY_SECONDS * 2 ** Math.min(this.#failures - 1, 20)),
      );
      await onEvent({ type: 'trust-failed', error, retrySeconds });
      return retrySeconds;
    }
  }

  /**
   * Looks now, and from then on at its times. One that is under way may have asked too early: it is waited for, and one
   * more follows it, however many have asked meanwhile.
   */
  now(): Promise<void> {
    this.#cancel?.();
    if (this.#stopped) return Promise.resolve();
    if (this.#running !== undefined) {
      this.#following ??= this.#running.then(() => {
        this.#following = undefined;
        return this.now();
      });
      return this.#following;
    }
    this.#running = this.step().then((seconds) => {
      this.#running = undefined;
      if (!this.#stopped) this.#cancel = this.#timers.after(seconds * 1000, () => void this.now());
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#running;
  }
}

function jittered(seconds: number): number {
  const [random = 0] = randomBytes(1);
  return seconds / 2 + (seconds / 2) * (random / 256);
}
