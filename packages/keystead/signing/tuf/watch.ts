import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import type { Versions } from './publish.ts';

/** After a failure it is tried again so soon: a timestamp is good for a minute at the least. */
const AGAIN_MS = 10_000;
/** It is looked again at least so often, so that a clock that was set, or a machine that slept, is noticed. */
const MOST_MS = 3_600_000;

export interface Watch {
  readonly clock: Clock;
  /** Resolves after so many milliseconds, or when the watch is to end. */
  readonly pause: (ms: number) => Promise<void>;
  readonly ended: () => boolean;
  readonly told: (what: Versions | KeysteadError) => void;
}

/**
 * Renews a repository before what it says ends, at half of the time that is left, until the watch ends. What fails is told
 * and tried again: a service that is away for a while is no reason to let clients down.
 * @throws what `renew` throws and is no KeysteadError.
 */
export async function keepFresh(renew: () => Promise<Versions>, watch: Watch): Promise<void> {
  while (!watch.ended()) {
    const now = (): number => watch.clock.now().getTime();
    let due = now() + AGAIN_MS;
    try {
      const versions = await renew();
      watch.told(versions);
      // A little later than half: what is good for half of its time is given again as it is.
      due = now() + Math.max(0, Date.parse(versions.timestampUntil) - now()) / 2 + 1000;
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      watch.told(error);
    }
    while (!watch.ended() && now() < due) await watch.pause(Math.min(MOST_MS, due - now()));
  }
}
