/** What is simulated. Times are seconds, shares are of 1, for each device and each lifetime of an LDevID. */
export interface FleetPlan {
  readonly devices: number;
  /** How many LDevIDs each device has one after the other, when nothing goes wrong. */
  readonly lifetimes: number;
  readonly ldevidSeconds: number;
  /** How long after the end of its LDevID a device may still recover by its IDevID. */
  readonly graceSeconds: number;
  /** The same seed gives the same weather. Keys and serial numbers are random all the same. */
  readonly seed: number;
  readonly weather: Weather;
  /** In how many of the lifetimes, the first ones, all that happens to the server happens; at most `lifetimes`. */
  readonly eventful: number;
  /** New keys of the operational CA, at equal distances. */
  readonly rotations: number;
  /** The share of the devices whose batch is found to be compromised, and revoked. */
  readonly compromised: number;
  /** Times at which the server is away for all, and for how long. */
  readonly outages: number;
  readonly outageSeconds: number;
  /** What is due within so many seconds is done at once, at the end of them. */
  readonly sliceSeconds: number;
}

/** How often a device meets what devices meet. */
export interface Weather {
  /** The power fails at one of the writes of a renewal. */
  readonly powerCut: number;
  /** The device is away, without network. */
  readonly offline: number;
  /** The mean of how long it is away; single times are spread exponentially. */
  readonly offlineSeconds: number;
  /** The clock is wrong by up to `clockSeconds`, either way. */
  readonly clockDrift: number;
  readonly clockSeconds: number;
  /** The clock starts at its first day, as that of a device without a battery does, until it hears the time. */
  readonly clockReset: number;
  readonly clockResetSeconds: number;
}

const DAY = 86_400;

/** Ninety days of an LDevID, thirty of grace. */
export const DEFAULT_PLAN: FleetPlan = {
  devices: 1_000,
  lifetimes: 10,
  ldevidSeconds: 90 * DAY,
  graceSeconds: 30 * DAY,
  seed: 1,
  eventful: 10,
  rotations: 3,
  compromised: 0.01,
  outages: 3,
  outageSeconds: 6 * 3_600,
  sliceSeconds: 900,
  weather: {
    powerCut: 0.1,
    offline: 0.1,
    offlineSeconds: 10 * DAY,
    clockDrift: 0.05,
    clockSeconds: 6 * 3_600,
    clockReset: 0.01,
    clockResetSeconds: 3_600,
  },
};

/** The mean time between two renewals, as a share of an LDevID's life. */
export const RENEWED_AT = 0.625;

/** How long the simulation runs, seconds: until each device would have had its lifetimes. */
export const lengthOf = (plan: FleetPlan): number => plan.lifetimes * RENEWED_AT * plan.ldevidSeconds;

/** What happens to the server. */
export type EventKind = 'new key' | 'compromise' | 'batch revoked' | 'away' | 'back';

export interface PlannedEvent {
  /** Milliseconds from the start. */
  readonly after: number;
  readonly kind: EventKind;
}

/** All that happens to the server, in its order, within the lifetimes that are eventful. */
export function eventsOf(plan: FleetPlan): PlannedEvent[] {
  const { rotations, outages, outageSeconds, compromised, eventful, lifetimes, ldevidSeconds } = plan;
  const span = Math.min(eventful, lifetimes) * RENEWED_AT * ldevidSeconds * 1000;
  // The last of the new keys is the answer to a compromise.
  const keys = Array.from(
    { length: rotations },
    (_, at): PlannedEvent => ({
      after: (span * (at + 1)) / (rotations + 1),
      kind: at + 1 < rotations ? 'new key' : 'compromise',
    }),
  );
  const away = Array.from({ length: outages }, (_, at): PlannedEvent[] => {
    const after = (span * (at + 0.5)) / outages;
    return [
      { after, kind: 'away' },
      { after: after + outageSeconds * 1000, kind: 'back' },
    ];
  });
  const revoked: PlannedEvent[] = compromised > 0 ? [{ after: 0.4 * span, kind: 'batch revoked' }] : [];
  return [...keys, ...revoked, ...away.flat()].sort((one, other) => one.after - other.after);
}
