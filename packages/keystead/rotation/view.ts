import { canonicalJson } from '@keystead/core/bytes';
import type { CampaignRow, CampaignState, Reader } from '../store/index.ts';
import { WHYS, type Why } from './dry-run.ts';
import { type Plan, planOf, ringNames } from './plan.ts';
import type { DryRun } from './report.ts';
import { type RingVerdict, verdictOf } from './rings.ts';

/** The most devices that one answer lists. */
const LISTED = 1000;

export interface RingView {
  readonly ring: number;
  readonly name: string;
  readonly open: boolean;
  readonly windowEnd: string | null;
  readonly devices: number;
  readonly done: number;
  readonly failed: number;
  /**
   * Devices of which nothing is expected: they cannot come back by themselves, are of the fleet no more, or have no
   * certificate that is rotated. They are not among the others: they hold nothing up, and prove nothing.
   */
  readonly lost: number;
  readonly verdict: RingVerdict['verdict'];
}

/** A campaign as people see it. */
export interface CampaignView {
  readonly id: string;
  readonly kind: Plan['kind'];
  readonly target: string;
  readonly state: CampaignState;
  /** Where it was before it paused. */
  readonly was: CampaignState | null;
  readonly pauseReason: string | null;
  readonly plan: Plan;
  readonly planSha256: string;
  readonly plannedBy: string;
  readonly times: Readonly<Record<'planned' | 'started' | 'switched' | 'retiring' | 'ended', string | null>>;
  /** The first moment at which the old one may be retired; null before the start. */
  readonly retireNotBefore: string | null;
  readonly rings: readonly RingView[];
  /** Who signed that it goes on although devices are cut off. */
  readonly insistedBy: readonly string[];
}

export interface DryRunView {
  readonly campaign: string;
  readonly planSha256: string;
  readonly of: DryRun['of'];
  readonly at: string;
  readonly counts: DryRun['counts'];
  readonly reasons: readonly { readonly why: Why; readonly text: string; readonly devices: number }[];
  readonly devicesSha256: string;
  readonly cutOff: readonly {
    readonly deviceId: string;
    readonly model: string;
    readonly ring: string;
    readonly why: readonly Why[];
    readonly insisted: boolean;
  }[];
  /** How many there are beyond those that are listed. */
  readonly leftOut: number;
  /** Devices that would not be cut off, and whose trust bundle believes the old key still: a retirement waits for them. */
  readonly oldTrusted: { readonly devices: number; readonly such: readonly string[]; readonly until: string | null };
}

const isoOf = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

/** The plan of a row, as it was checked when it came. */
export const planOfRow = (row: Pick<CampaignRow, 'plan'>): Plan => planOf(JSON.parse(row.plan));

/** @param signers who signed the statements by which a quorum insists. */
export function campaignView(records: Reader, row: CampaignRow, signers: readonly string[]): CampaignView {
  const plan = planOfRow(row);
  const counts = new Map(records.rotation.counts(row.id).map((count) => [count.ring, count]));
  const opened = new Map(records.rotation.rings(row.id).map((ring) => [ring.ring, ring]));
  return {
    id: row.id,
    kind: plan.kind,
    target: row.target,
    state: row.state,
    was: row.was,
    pauseReason: row.pauseReason,
    plan,
    planSha256: row.planSha256,
    plannedBy: row.actor,
    times: {
      planned: isoOf(row.plannedAt),
      started: isoOf(row.startedAt),
      switched: isoOf(row.switchedAt),
      retiring: isoOf(row.retiringAt),
      ended: isoOf(row.endedAt),
    },
    retireNotBefore: row.startedAt === null ? null : isoOf(row.startedAt + plan.transitionSeconds * 1000),
    rings: ringNames(plan).map((name, index) => {
      const ring = index + 1;
      const { devices, done, failed, lost } = counts.get(ring) ?? { devices: 0, done: 0, failed: 0, lost: 0 };
      const { verdict } = verdictOf(plan, { devices, done, failed, lost });
      const windowEnd = isoOf(opened.get(ring)?.windowEnd ?? null);
      return { ring, name, open: opened.has(ring), windowEnd, devices, done, failed, lost, verdict };
    }),
    insistedBy: signers,
  };
}

export function dryRunView({ id, planSha256 }: CampaignRow, plan: Plan, run: DryRun): DryRunView {
  const names = ringNames(plan);
  const reasons = new Map<Why, number>();
  for (const { why } of run.cutOff) for (const one of why) reasons.set(one, (reasons.get(one) ?? 0) + 1);
  return {
    campaign: id,
    planSha256,
    of: run.of,
    at: new Date(run.at).toISOString(),
    counts: run.counts,
    reasons: [...reasons].map(([why, devices]) => ({ why, text: WHYS[why], devices })),
    devicesSha256: run.devicesSha256,
    cutOff: run.cutOff.slice(0, LISTED).map((one) => ({ ...one, ring: names[one.ring - 1] ?? '' })),
    leftOut: Math.max(0, run.cutOff.length - LISTED),
    oldTrusted: {
      devices: run.oldTrusted.length,
      such: run.oldTrusted.slice(0, LISTED).map(({ deviceId }) => deviceId),
      until: isoOf(run.oldTrusted.reduce<number | null>((last, { until }) => Math.max(last ?? 0, until), null)),
    },
  };
}

/** A plan as its row keeps it. */
export const samePlan = (row: Pick<CampaignRow, 'plan'>, plan: Plan): boolean => row.plan === canonicalJson(plan);
