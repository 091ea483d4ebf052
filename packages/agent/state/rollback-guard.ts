import { KeysteadError } from '@keystead/core/errors';
import type { DeviceState } from './device-state.ts';

/** A counter in hardware that only goes up: whoever puts an older disk in place cannot put it back. */
export interface StateCounter {
  /** `bundleVersion`: that of the trust bundle at the last step; undefined when no step was ever taken for a state. */
  read(): Promise<{ readonly value: number; readonly bundleVersion: number | undefined }>;
  /**
   * Takes the step from `from` to the next value, and remembers the version with it. A step whose answer was lost is asked
   * for again with the same arguments, and taken once.
   * @throws KeysteadError `counter.moved` where the counter is elsewhere: it is left there.
   */
  step(from: number, bundleVersion: number): Promise<void>;
}

/**
 * Notices a state directory that was restored from an older image. Every change of credentials and of the trust bundle
 * gives the state the next number; the counter takes its step when the state is durable, and before anything goes by it.
 * So the state's number is the counter's, or one more where the power was cut between the two; anything else is another
 * image than the newest. REQ-KEY-REV-04
 */
export class RollbackGuard {
  readonly #state: DeviceState;
  readonly #counter: StateCounter;
  #value: number;
  #last: Promise<void> = Promise.resolve();
  /** A step that was asked for, until it is answered: what it counts, and the version that goes with it. */
  #begun: { readonly changes: number; readonly bundleVersion: number } | undefined;

  private constructor(state: DeviceState, counter: StateCounter, value: number) {
    this.#state = state;
    this.#counter = counter;
    this.#value = value;
    state.countedTo(value);
  }

  /**
   * Compares state and counter; a state that was never counted is counted from now on.
   * @throws KeysteadError `state.rolled-back`: {@link recover} is the way on; what the counter throws.
   */
  static async open(state: DeviceState, counter: StateCounter): Promise<RollbackGuard> {
    const { value, bundleVersion } = await counter.read();
    const { generation } = state;
    if (generation === undefined) {
      // Before the first step nothing was lost by this state's being older than another.
      if (bundleVersion !== undefined) throw rolledBack('none', value);
      state.countFrom(value + 1);
    } else if (generation !== value && generation !== value + 1) {
      throw rolledBack(String(generation), value);
    }
    const guard = new RollbackGuard(state, counter, value);
    await guard.settle();
    return guard;
  }

  /**
   * Goes on with an older image, on the word of whoever stands at the device: its credentials but the IDevID are given up,
   * its bundle is not gone by, and none is taken that is older than the one that the counter has seen. The device then
   * enrols by its IDevID, which the server refuses where it was revoked.
   */
  static async recover(state: DeviceState, counter: StateCounter): Promise<RollbackGuard> {
    const { value, bundleVersion = 0 } = await counter.read();
    state.startOver(value + 1, bundleVersion);
    const guard = new RollbackGuard(state, counter, value);
    await guard.settle();
    return guard;
  }

  /**
   * Counts what has changed; to be called after each change, before anything goes by it. One at a time: renewals and
   * bundles change the state side by side, and two steps for one number would leave a state that is refused for ever.
   * @throws as `open`.
   */
  settle(): Promise<void> {
    const settled = this.#last.then(() => this.#settle());
    this.#last = settled.catch(() => {});
    return settled;
  }

  async #settle(): Promise<void> {
    while (this.#state.generation !== this.#value) {
      const from = this.#value;
      this.#begun ??= { changes: this.#state.changes, bundleVersion: this.#bundleVersion };
      const { changes, bundleVersion } = this.#begun;
      try {
        await this.#counter.step(from, bundleVersion);
      } catch (error) {
        if (!(error instanceof KeysteadError && error.code === 'counter.moved')) throw error;
        throw rolledBack(String(this.#state.generation), error.seen ?? 'elsewhere');
      }
      this.#begun = undefined;
      this.#value = from + 1;
      this.#state.countedTo(this.#value);
      // What has changed since the step was asked for bears the number of what was counted: an image of that would pass.
      if (this.#state.changes !== changes) this.#state.countFrom(this.#value + 1);
    }
  }

  get #bundleVersion(): number {
    const { trust } = this.#state;
    return Math.max(trust?.state.version ?? 0, trust?.leastVersion ?? 0);
  }
}

const rolledBack = (number: string, counted: number | string): KeysteadError =>
  new KeysteadError('state.rolled-back', { field: 'generation', seen: `${number}, the counter is at ${counted}` });
