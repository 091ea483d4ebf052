import type { Clock } from '@keystead/core/clock';
import { type DeviceState, datesOf } from '../state/index.ts';

/** What is known of the device's clock: how far it is behind the latest time that something signed has told. */
export type ClockHealth = { readonly state: 'plausible' } | { readonly state: 'behind'; readonly provenTime: Date };

/**
 * The device's clock, which never says less than what is proven: the issuing of its bundle, the date of its filter, the
 * beginning of its own certificate. A device whose battery is empty would take 1970 for now, in which nothing has expired;
 * by this one it lives at the latest time that it can be sure of, and says that its clock is behind. What has ended by
 * then stays ended. Times that the clock alone has told prove nothing: one that was ahead for an hour would leave the
 * device in the future for ever. Of a clock that is ahead nothing is believed too long: it ends bundles and certificates
 * early, and is well again when it is set.
 */
export class ProvenClock implements Clock {
  readonly #clock: Clock;
  readonly #proven: () => number;

  /** @param proven seconds since 1970; 0 when nothing is proven. */
  constructor(clock: Clock, proven: () => number) {
    this.#clock = clock;
    this.#proven = proven;
  }

  now(): Date {
    return new Date(Math.max(this.#clock.now().getTime(), this.#proven() * 1000));
  }

  health(): ClockHealth {
    const proven = this.#proven() * 1000;
    if (this.#clock.now().getTime() >= proven) return { state: 'plausible' };
    return { state: 'behind', provenTime: new Date(proven) };
  }
}

/**
 * The latest of what is proven: by the bundle and its filter, and by the device's own certificates, which are signed too.
 * Seconds since 1970.
 */
export function provenTime(state: DeviceState): number {
  const began = (['idevid', 'current'] as const).map((slot) => {
    const held = state.credential(slot);
    return held === undefined ? 0 : Math.floor(datesOf(held).notBefore.getTime() / 1000);
  });
  return Math.max(state.trust?.provenTime ?? 0, ...began);
}
