import { KeysteadError } from '@keystead/core/errors';
import type { DeviceState } from './device-state.ts';

/** A counter in hardware that only goes up: whoever puts an older disk in place cannot put it back. */
export interface StateCounter {
  /** `bundleVersion`: that of the trust bundle at the last step; undefined when no step was ever taken for a state. */
  read(): Promise<{ readonly value: number; readonly bundleVersion: number | undefined }>;
  /** Takes one step, remembers the version with it, and resolves to the value after it. */
  step(bundleVersion: number): Promise<number>;
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
    state.countFrom(value + 1);
    state.dropOperational();
    const { trust } = state;
    if (trust !== undefined) {
      const leastVersion = Math.max(bundleVersion, trust.leastVersion ?? 0);
      state.keepTrust({ state: trust.state, filters: [], provenTime: trust.provenTime, leastVersion });
    }
    const guard = new RollbackGuard(state, counter, value);
    await guard.settle();
    return guard;
  }

  /** Counts what has changed; to be called after each change, before anything goes by it. @throws as `open`. */
  async settle(): Promise<void> {
    const { generation, trust } = this.#state;
    if (generation === this.#value) return;
    this.#value = await this.#counter.step(Math.max(trust?.state.version ?? 0, trust?.leastVersion ?? 0));
    this.#state.countedTo(this.#value);
    if (this.#value !== generation) throw rolledBack(String(generation), this.#value);
  }
}

const rolledBack = (number: string, counted: number): KeysteadError =>
  new KeysteadError('state.rolled-back', { field: 'generation', seen: `${number}, the counter is at ${counted}` });
