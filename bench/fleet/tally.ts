import type { FleetPlan } from './plan.ts';

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

const HOUR = 3_600_000;

/** What is counted while the fleet lives. */
export class Tally {
  readonly start: number;
  readonly #plan: FleetPlan;
  /** Certificates by the hour since the start. */
  readonly byHour: number[] = [];
  readonly gaps: Gap[] = [];
  issued = { enrolled: 0, renewed: 0, recovered: 0 };
  /** Requests of the fleet and their answers, bytes of DER. */
  traffic = { requests: 0, requestBytes: 0, answerBytes: 0 };
  /** What the server would not do, by its code. */
  readonly refusals = new Map<string, number>();
  met = { powerCuts: 0, offline: 0, clockErrors: 0, clockResets: 0 };
  /** Devices that only people can help, since they were away beyond their grace. */
  beyondGrace = 0;
  /** What compromised devices got after they were revoked. */
  leaked = 0;
  /** How long after the compromise of a CA each of its devices had a good credential again, milliseconds. */
  readonly restored: number[] = [];

  constructor(plan: FleetPlan, start: number) {
    this.#plan = plan;
    this.start = start;
  }

  certificate(how: keyof Tally['issued'], at: number): void {
    this.issued[how] += 1;
    // The first enrolment of all is the factory's pace, and not a renewal.
    if (how === 'enrolled') return;
    const hour = Math.floor((at - this.start) / HOUR);
    this.byHour[hour] = (this.byHour[hour] ?? 0) + 1;
  }

  refused(code: string): void {
    this.refusals.set(code, (this.refusals.get(code) ?? 0) + 1);
  }

  gap(gap: Gap): void {
    if (gap.ms > 0) this.gaps.push(gap);
  }

  /** Certificates a day, from the start on; whole days only. */
  byDay(end: number): number[] {
    const days = Math.floor((end - this.start) / (24 * HOUR));
    return Array.from({ length: days }, (_, day) =>
      Array.from({ length: 24 }, (_, hour) => this.byHour[day * 24 + hour] ?? 0).reduce((sum, one) => sum + one, 0),
    );
  }

  get plan(): FleetPlan {
    return this.#plan;
  }
}
