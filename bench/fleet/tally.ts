/** Why a device was without a credential that counts. */
export const CAUSES = ['none', 'power cut', 'server away', 'clock', 'CA compromise'] as const;
export type Cause = (typeof CAUSES)[number];

export interface Gap {
  readonly device: string;
  /** Milliseconds since 1970, and how long, milliseconds. */
  readonly from: number;
  readonly ms: number;
  readonly cause: Cause;
  /** Whether it fell within the device's grace. */
  readonly inGrace: boolean;
}

/** What is counted, in a form that threads can hand over. */
export interface Counts {
  /** Certificates by the hour since the start. */
  readonly byHour: number[];
  readonly gaps: Gap[];
  readonly issued: { enrolled: number; renewed: number; recovered: number };
  /** Requests of the fleet and their answers, bytes of DER. */
  readonly traffic: { requests: number; requestBytes: number; answerBytes: number };
  /** What the server would not do, by its code. */
  readonly refusals: Map<string, number>;
  readonly met: { powerCuts: number; offline: number; clockErrors: number; clockResets: number };
  /** Devices that only people can help, since they were away beyond their grace. */
  beyondGrace: number;
  /** What compromised devices got after they were revoked. */
  leaked: number;
  /** How long after the compromise of a CA each of its devices had a good credential again, milliseconds. */
  readonly restored: number[];
}

const HOUR = 3_600_000;

/** What is counted while the fleet lives. */
export class Tally {
  readonly start: number;
  readonly counts: Counts = {
    byHour: [],
    gaps: [],
    issued: { enrolled: 0, renewed: 0, recovered: 0 },
    traffic: { requests: 0, requestBytes: 0, answerBytes: 0 },
    refusals: new Map(),
    met: { powerCuts: 0, offline: 0, clockErrors: 0, clockResets: 0 },
    beyondGrace: 0,
    leaked: 0,
    restored: [],
  };

  constructor(start: number) {
    this.start = start;
  }

  certificate(how: keyof Counts['issued'], at: number): void {
    const { issued, byHour } = this.counts;
    issued[how] += 1;
    // The first enrolment of all is the factory's pace, and not a renewal.
    if (how === 'enrolled') return;
    const hour = Math.floor((at - this.start) / HOUR);
    byHour[hour] = (byHour[hour] ?? 0) + 1;
  }

  refused(code: string, times = 1): void {
    const { refusals } = this.counts;
    refusals.set(code, (refusals.get(code) ?? 0) + times);
  }

  gap(gap: Gap): void {
    if (gap.ms > 0) this.counts.gaps.push(gap);
  }

  /** Counts in what another has counted. */
  add(other: Counts): void {
    const { counts } = this;
    for (const [hour, count] of other.byHour.entries())
      if (count !== undefined) counts.byHour[hour] = (counts.byHour[hour] ?? 0) + count;
    for (const gap of other.gaps) counts.gaps.push(gap);
    for (const ms of other.restored) counts.restored.push(ms);
    for (const [code, times] of other.refusals) this.refused(code, times);
    addTo(counts.issued, other.issued);
    addTo(counts.traffic, other.traffic);
    addTo(counts.met, other.met);
    counts.beyondGrace += other.beyondGrace;
    counts.leaked += other.leaked;
  }

  /** Certificates a day, from the start on; whole days only. */
  byDay(end: number): number[] {
    const days = Math.floor((end - this.start) / (24 * HOUR));
    return Array.from({ length: days }, (_, day) =>
      Array.from({ length: 24 }, (_, hour) => this.counts.byHour[day * 24 + hour] ?? 0).reduce(
        (sum, one) => sum + one,
        0,
      ),
    );
  }
}

function addTo<K extends string>(sums: Record<K, number>, more: Readonly<Record<K, number>>): void {
  for (const name of Object.keys(more) as K[]) sums[name] += more[name];
}
