import type { CampaignDeviceRow, CampaignRow, Reader, Tx } from '../store/index.ts';
import { type RotationDeps, SYSTEM } from './deps.ts';
import { type Question, standingOf } from './dry-run.ts';
import { factsOf, isServed } from './facts.ts';
import { rulesOf } from './kinds.ts';
import { knowing } from './known-by-bundle.ts';
import { type Plan, ringNames } from './plan.ts';
import { verdictOf } from './rings.ts';
import { planOfRow } from './view.ts';

const PAGE = 500;

type Change = { readonly row: CampaignDeviceRow } & (
  | { readonly done: true }
  | { readonly failure: string }
  | { readonly lost: string }
  /** Nothing of it is rotated: it has no certificate that could be used. */
  | { readonly aside: true }
  | { readonly back: true }
);

/** How many rings of a campaign are looked at: bundles reach the whole fleet at once, renewals go ring by ring. */
export const watchedRings = (row: Pick<CampaignRow, 'ringsOpen'>, plan: Plan): number =>
  rulesOf(plan.kind).uptake === 'bundle' ? ringNames(plan).length : row.ringsOpen;

/**
 * Looks at the devices of a campaign that have not moved yet, and takes note of those that have and of those that failed.
 * A device fails when it is late, or when its certificate ended while it should have moved. Once the grace of the policy is
 * over, too, it cannot come back by itself: it is lost, and its ring waits for it no more. Whoever gives it a certificate
 * again brings it back. What has left the fleet, or has no certificate that is rotated, holds nothing up either; it has
 * not moved, and its ring shows nothing by it.
 */
export async function watchUptake(deps: RotationDeps, row: CampaignRow): Promise<void> {
  const plan = planOfRow(row);
  const now = deps.clock.now().getTime();
  const question: Question = {
    ...{ now, startedAt: row.startedAt ?? now, retireAt: now, of: 'now' },
    knows: knowing(plan, deps.bundles, now),
  };
  let after = '';
  while (true) {
    const { last, changes } = deps.store.read((records) => {
      const ends = new Map(records.rotation.rings(row.id).map((ring) => [ring.ring, ring]));
      const page = records.rotation.waiting(row.id, watchedRings(row, plan), after, PAGE);
      const changed = page.flatMap((one) => {
        const change = changeOf(records, deps, plan, one, question, ends.get(one.ring));
        return change === undefined ? [] : [change];
      });
      return { last: page.at(-1)?.deviceId, changes: changed };
    });
    if (last === undefined) return;
    after = last;
    if (changes.length > 0) await deps.store.commit((tx) => record(tx, deps, plan, changes, now));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function changeOf(
  records: Reader,
  deps: RotationDeps,
  plan: Plan,
  row: CampaignDeviceRow,
  question: Question,
  ring: { readonly openedAt: number; readonly windowEnd: number } | undefined,
): Change | undefined {
  const device = records.device(row.deviceId);
  const isAside = row.insisted === 1 || row.lostAt !== null;
  if (device === undefined || !isServed(device))
    return isAside ? undefined : { row, lost: 'it is no device of the fleet any more' };
  const facts = factsOf(records, plan, device, deps);
  const { standing } = standingOf(plan, facts, question);
  const ended = facts.credential?.notAfter ?? Number.NEGATIVE_INFINITY;
  const gap = ring !== undefined && ended > ring.openedAt && ended <= question.now;
  if (standing === 'moved') return { row, done: true };
  if (standing === 'unaffected' && !gap) return isAside ? undefined : { row, aside: true };
  if (row.insisted === 1) return undefined;
  if (row.lostAt !== null)
    return ended > question.now || rulesOf(plan.kind).uptake === 'bundle' ? { row, back: true } : undefined;
  if (ring === undefined) return undefined;
  const graceMs = deps.policy.grace.renewalSeconds * 1000;
  if (gap && ended + graceMs <= question.now) return { row, lost: 'its certificate and its grace ended' };
  if (row.failure !== null) return undefined;
  if (gap) return { row, failure: 'its certificate ended' };
  if (question.now > ring.windowEnd + plan.patienceSeconds * 1000) return { row, failure: 'it is late' };
  return undefined;
}

function record(tx: Tx, deps: RotationDeps, plan: Plan, changes: readonly Change[], now: number): void {
  for (const change of changes) {
    const { campaign, deviceId } = change.row;
    if ('done' in change) {
      tx.rotation.done(campaign, deviceId, now);
      continue;
    }
    if ('back' in change) {
      tx.rotation.back(campaign, deviceId);
      continue;
    }
    // Of a fleet in stock these are many, and nothing happened to them: no entry in the log.
    if ('aside' in change) {
      tx.rotation.lost(campaign, deviceId, 'it has no certificate that is rotated', now);
      continue;
    }
    const why = 'lost' in change ? change.lost : change.failure;
    if ('lost' in change) tx.rotation.lost(campaign, deviceId, why, now);
    else tx.rotation.failed(campaign, deviceId, why, now);
    deps.audit(tx, {
      type: 'lost' in change ? 'rotation.device-lost' : 'rotation.device-failed',
      ...SYSTEM,
      outcome: 'done',
      subject: { campaign, device: deviceId },
      detail: { kind: plan.kind, why },
    });
  }
}

/** Why a campaign must pause: the first open ring in which more devices fail than may; undefined where none does. */
export function reasonToPause(records: Reader, row: CampaignRow): string | undefined {
  const plan = planOfRow(row);
  const names = ringNames(plan);
  const rings = watchedRings(row, plan);
  for (const count of records.rotation.counts(row.id)) {
    if (count.ring > rings) continue;
    const verdict = verdictOf(plan, count);
    if (verdict.verdict === 'failed') return `ring ${names[count.ring - 1] ?? count.ring}: ${verdict.seen}`;
  }
  return undefined;
}
