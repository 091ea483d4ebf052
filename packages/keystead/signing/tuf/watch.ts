import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { GrowingWait } from './growing-wait.ts';
import type { Versions } from './publish.ts';

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
 * and tried again: a service that is away for a while is no reason to let clients down. Where nothing new comes, because
 * this clock is ahead of the one that signs, each wait is longer than the one before.
 * @param published what there is when the watch begins: while nothing has come yet, waits go by how long that is good for.
 * @throws what `renew` throws and is no KeysteadError.
 */
export async function keepFresh(
  renew: () => Promise<Versions>,
  watch: Watch,
  published?: Pick<Versions, 'timestampUntil'>,
): Promise<void> {
  const again = new GrowingWait();
  const now = (): number => watch.clock.now().getTime();
  const goodFor = ({ timestampUntil }: Pick<Versions, 'timestampUntil'>): number => Date.parse(timestampUntil) - now();
  let last: number | undefined;
  let good = published && goodFor(published);
  while (!watch.ended()) {
    let wait: number;
    try {
      const versions = await renew();
      watch.told(versions);
      if (versions.timestamp !== last) again.reset();
      if (versions.timestamp !== last) good = goodFor(versions);
      last = versions.timestamp;
      // A little later than half: what is good for half of its time is given again as it is.
      wait = Math.max(again.next(), goodFor(versions) / 2 + 1000);
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      watch.told(error);
      wait = again.next(good);
    }
    // By the clock, for a machine that slept, and by what was waited, for a clock that was set back.
    const due = now() + wait;
    for (let waited = 0; !watch.ended() && waited < wait && now() < due; ) {
      const pause = Math.min(MOST_MS, wait - waited, due - now());
      await watch.pause(pause);
      waited += pause;
    }
  }
}
