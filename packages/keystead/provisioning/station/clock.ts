import { KeysteadError } from '@keystead/core/errors';

/**
 * How far a station's clock may be off, milliseconds. Nothing here is dated by it; but a rig dates its own test records,
 * and a shift begins and ends, by a clock that an auditor will hold against the records of the node.
 */
export const STATION_CLOCK_TOLERANCE_MS = 5 * 60_000;

/** @param told the station's time. @throws KeysteadError `station.clock-wrong` with both times. */
export function requireStationClock(told: Date, now: Date): void {
  const off = told.getTime() - now.getTime();
  if (Math.abs(off) <= STATION_CLOCK_TOLERANCE_MS) return;
  const seen = `${told.toISOString()} at the station, ${now.toISOString()} at the node`;
  throw new KeysteadError('station.clock-wrong', { field: 'time', seen });
}
