import type { FleetRun } from './simulation.ts';
import { type Counts, Tally } from './tally.ts';

/** What a run counted, as JSON: so that another page can be made of it later. */
export function saveRun(run: FleetRun): string {
  const { tally, ...facts } = run;
  return JSON.stringify({ ...facts, counts: { ...tally.counts, refusals: [...tally.counts.refusals] } });
}

/** What {@link saveRun} wrote; it is our own, and is not checked. */
export function readRun(text: string): FleetRun {
  type Saved = Omit<FleetRun, 'tally' | 'start' | 'end' | 'plannedEnd' | 'compromisedAt'> & {
    readonly start: string;
    readonly end: string;
    readonly plannedEnd: string;
    readonly compromisedAt?: string;
    readonly counts: Omit<Counts, 'refusals'> & { readonly refusals: [string, number][] };
  };
  const { counts, start, end, plannedEnd, compromisedAt, ...facts }: Saved = JSON.parse(text);
  const tally = new Tally(Date.parse(start));
  // JSON has null for an hour without a certificate.
  const byHour = counts.byHour.map((count) => count ?? 0);
  tally.add({ ...counts, byHour, refusals: new Map(counts.refusals) });
  return {
    ...facts,
    tally,
    start: new Date(start),
    end: new Date(end),
    plannedEnd: new Date(plannedEnd),
    compromisedAt: compromisedAt === undefined ? undefined : new Date(compromisedAt),
  };
}
