import type { FleetRun } from './simulation.ts';
import { CAUSES, type Cause, type Counts } from './tally.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** A window holds so many certificates in the mean, at least: chance alone makes no peak of fewer. */
const ENOUGH = 500;

/** What a run found, in numbers. */
export interface Findings {
  readonly devices: number;
  readonly lifetimes: number;
  readonly days: number;
  /** The days that were planned; more than `days` where the run was stopped before its end. */
  readonly plannedDays: number;
  readonly seconds: FleetRun['seconds'];
  readonly certificates: { enrolled: number; renewed: number; recovered: number };
  /** Renewals and recoveries, without the day after the compromise of a CA. */
  readonly rate: {
    readonly windowHours: number;
    readonly meanPerSecond: number;
    readonly peakPerSecond: number;
    readonly ratio: number;
  };
  /** The hour in which most was issued, whatever the reason. */
  readonly busiestHour: number;
  /** While a device had power, network and grace, and no peer took its credential. */
  readonly gaps: Readonly<Record<Cause, { devices: number; hours: number; longestMinutes: number }>>;
  /** Devices that were away for longer than their grace. */
  readonly beyondGrace: number;
  /** After the compromise of a CA: minutes until devices that had network had a good credential again. */
  readonly restored: { devices: number; medianMinutes: number; allMinutes: number };
  /** What revoked devices got. */
  readonly leaked: number;
  readonly met: Counts['met'];
  readonly refusals: Readonly<Record<string, number>>;
  readonly traffic: { requests: number; bytesPerDeviceAndYear: number };
}

export function findingsOf(run: FleetRun): Findings {
  const { tally, plan, devices, start, end } = run;
  const span = end.getTime() - start.getTime();
  const { counts } = tally;
  const { requests, requestBytes, answerBytes } = counts.traffic;
  const restored = [...counts.restored].sort((one, other) => one - other).map((ms) => ms / 60_000);
  return {
    devices,
    lifetimes: plan.lifetimes,
    days: Math.round(span / DAY),
    plannedDays: Math.round((run.plannedEnd.getTime() - start.getTime()) / DAY),
    seconds: { factory: rounded(run.seconds.factory), field: rounded(run.seconds.field) },
    certificates: counts.issued,
    rate: rateOf(run),
    busiestHour: counts.byHour.reduce((most, one) => Math.max(most, one ?? 0), 0),
    gaps: gapsOf(run),
    beyondGrace: counts.beyondGrace,
    restored: {
      devices: restored.length,
      medianMinutes: rounded(restored[restored.length >> 1] ?? 0),
      allMinutes: rounded(restored.at(-1) ?? 0),
    },
    leaked: counts.leaked,
    met: counts.met,
    refusals: Object.fromEntries(counts.refusals),
    traffic: {
      requests,
      bytesPerDeviceAndYear: Math.round((requestBytes + answerBytes) / devices / (Math.max(span, 1) / (365 * DAY))),
    },
  };
}

function gapsOf({ tally }: FleetRun): Findings['gaps'] {
  const of = (cause: Cause) => {
    const gaps = tally.counts.gaps.filter((gap) => gap.cause === cause && gap.inGrace);
    const longest = gaps.reduce((most, { ms }) => Math.max(most, ms), 0);
    return {
      devices: new Set(gaps.map(({ device }) => device)).size,
      hours: rounded(gaps.reduce((sum, { ms }) => sum + ms, 0) / HOUR),
      longestMinutes: rounded(longest / 60_000),
    };
  };
  return Object.fromEntries(CAUSES.map((cause) => [cause, of(cause)])) as Findings['gaps'];
}

/**
 * Mean and peak of renewals, over windows that are long enough to tell a peak from chance. What comes back at once after
 * the compromise of a CA shall come at once: its day is left out here and stands in `restored`.
 */
function rateOf({ tally, start, end, compromisedAt }: FleetRun): Findings['rate'] {
  const hours = Math.floor((end.getTime() - start.getTime()) / HOUR);
  const counts = Array.from({ length: hours }, (_, hour) => tally.counts.byHour[hour] ?? 0);
  const left = compromiseHours(start, compromisedAt);
  const kept = counts.filter((_, hour) => !left.has(hour));
  const mean = sum(kept) / Math.max(1, kept.length);
  const windowHours = Math.max(1, Math.min(Math.ceil(ENOUGH / Math.max(mean, 1e-9)), kept.length));
  // Each hour begins a window: one that begins as the server comes back is among them.
  const windows = Array.from({ length: kept.length - windowHours + 1 }, (_, at) =>
    sum(kept.slice(at, at + windowHours)),
  );
  const peak = Math.max(0, ...windows) / windowHours;
  return {
    windowHours,
    meanPerSecond: mean / 3_600,
    peakPerSecond: peak / 3_600,
    ratio: Math.round((peak / Math.max(mean, 1e-9)) * 100) / 100,
  };
}

const compromiseHours = (start: Date, at: Date | undefined): ReadonlySet<number> => {
  if (at === undefined) return new Set();
  const first = Math.floor((at.getTime() - start.getTime()) / HOUR) - 1;
  return new Set(Array.from({ length: 26 }, (_, hour) => first + hour));
};

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
const rounded = (value: number): number => Math.round(value * 100) / 100;
