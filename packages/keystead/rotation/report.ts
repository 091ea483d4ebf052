import { KeysteadError } from '@keystead/core/errors';
import { devicesSha256Of } from '@keystead/core/lifecycle';
import type { CampaignRow, Reader } from '../store/index.ts';
import type { RotationDeps } from './deps.ts';
import { type Question, standingOf, type Why } from './dry-run.ts';
import { fleetFacts } from './facts.ts';
import { holdingOld, knowing } from './known-by-bundle.ts';
import type { Plan } from './plan.ts';
import { ringOf } from './rings.ts';

/** A device that would be cut off. */
export interface CutOff {
  readonly deviceId: string;
  readonly model: string;
  /** Counted from 1. */
  readonly ring: number;
  readonly why: readonly Why[];
  /** Whether a quorum insists although it is. */
  readonly insisted: boolean;
}

/** The answer of a dry run. */
export interface DryRun {
  readonly of: Question['of'];
  readonly at: number;
  readonly counts: Readonly<Record<'moved' | 'unaffected' | 'expected' | 'cut-off', number>>;
  /** Every one of them, by id. */
  readonly cutOff: readonly CutOff[];
  /** What a quorum signs: the hash of their ids. */
  readonly devicesSha256: string;
  /** Those of the others whose trust bundle believes the old key still, and until when (ms): a retirement waits for them. */
  readonly oldTrusted: readonly { readonly deviceId: string; readonly until: number }[];
}

/**
 * Asks of every device of the fleet how it stands to a campaign: who would be cut off, and why. Changes nothing.
 * REQ-KEY-ROT-02, REQ-KEY-ROT-03
 */
export async function dryRun(
  deps: Pick<RotationDeps, 'store' | 'policy' | 'uptakeOf' | 'bundles' | 'clock'>,
  plan: Plan,
  asked: Pick<Question, 'of' | 'startedAt'>,
): Promise<DryRun> {
  const now = deps.clock.now().getTime();
  const retireAt = (asked.startedAt ?? now) + plan.transitionSeconds * 1000;
  const question: Question = { ...asked, now, retireAt, knows: knowing(plan, deps.bundles, now) };
  const counts = { moved: 0, unaffected: 0, expected: 0, 'cut-off': 0 };
  const cutOff: CutOff[] = [];
  const holdsOld = holdingOld(plan, deps.bundles, now);
  const oldTrusted: { deviceId: string; until: number }[] = [];
  for await (const page of fleetFacts(deps, plan)) {
    const found = page.flatMap(({ device, facts }) => {
      const standing = standingOf(plan, facts, question);
      counts[standing.standing] += 1;
      const { deviceId, model } = device;
      if (standing.standing !== 'cut-off') {
        const until = facts.uptake?.bundle && holdsOld(facts.uptake.bundle);
        if (until !== undefined) oldTrusted.push({ deviceId, until });
        return [];
      }
      return [{ deviceId, model, ring: ringOf(plan, { deviceId, model, batch: device.ticketId }), why: standing.why }];
    });
    if (found.length === 0) continue;
    cutOff.push(
      ...deps.store.read((records) => found.map((one) => ({ ...one, insisted: isInsisted(records, plan, one) }))),
    );
  }
  const devicesSha256 = devicesSha256Of(cutOff.map(({ deviceId }) => deviceId));
  return { of: asked.of, at: now, counts, cutOff, devicesSha256, oldTrusted };
}

const isInsisted = (records: Reader, { id }: Plan, { deviceId }: { deviceId: string }): boolean =>
  records.rotation.device(id, deviceId)?.insisted === 1;

/** The question of the step that comes: a forecast before the start, after it what would be so at once. */
export function dryRunOfNext(deps: Parameters<typeof dryRun>[0], row: CampaignRow, plan: Plan): Promise<DryRun> {
  const { state, was, startedAt } = row;
  const of = (was ?? state) === 'planned' ? 'forecast' : 'now';
  return dryRun(deps, plan, { of, startedAt: startedAt ?? undefined });
}

/** @throws KeysteadError `rotation.strands-devices`. */
export function requireNobodyCutOff({ cutOff }: DryRun): void {
  const left = cutOff.filter(({ insisted }) => !insisted);
  const [first] = left;
  if (first === undefined) return;
  const seen = `${left.length} devices, such as ${first.deviceId} (${first.why.join(', ')})`;
  throw new KeysteadError('rotation.strands-devices', { field: 'devices', seen });
}

/** What the log says of a dry run. */
export const countsOf = ({ counts }: DryRun) => ({
  moved: counts.moved,
  unaffected: counts.unaffected,
  expected: counts.expected,
  cutOff: counts['cut-off'],
});
