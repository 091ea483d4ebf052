import { KeysteadError } from '@keystead/core/errors';
import type { AskedBy, RotationDeps } from './deps.ts';
import { rulesOf } from './kinds.ts';
import { ringNames } from './plan.ts';
import { heldFirmwareKeys, requireSwitched } from './readiness.ts';
import { countsOf, dryRunOfNext, requireNobodyCutOff } from './report.ts';
import { verdictOf } from './rings.ts';
import { stateAfter } from './states.ts';
import { type CampaignSteps, knownRow } from './steps.ts';
import { planOfRow } from './view.ts';

/**
 * To the new one, and to its first ring.
 * @throws KeysteadError `rotation.*` with what is missing; nothing changes then.
 */
export async function switchOver(deps: RotationDeps, steps: CampaignSteps, id: string, by: AskedBy): Promise<void> {
  const { row, plan } = steps.at(id, 'switch');
  const held = await heldFirmwareKeys(deps, plan);
  requireSwitched(plan, deps, held);
  const run = rulesOf(plan.kind).cutsOffAt === 'switch' ? await dryRunOfNext(deps, row, plan) : undefined;
  if (run !== undefined) requireNobodyCutOff(run);
  await deps.store.commit((tx) => {
    // Once more: while the fleet was read another bundle may have come, or a CA may have been revoked.
    requireSwitched(plan, deps, held);
    const switched = steps.step(tx, steps.unchanged(tx, row), 'switch', by, run === undefined ? {} : countsOf(run));
    steps.openRing(tx, switched, plan, by);
  });
}

/**
 * To the next ring, or to the last wait.
 * @param unproven why it goes on although nobody of the newest ring is left to move; refused without.
 * @throws KeysteadError `rotation.*` with what is missing; nothing changes then.
 */
export async function nextRing(
  deps: RotationDeps,
  steps: CampaignSteps,
  id: string,
  by: AskedBy,
  unproven: string | undefined,
): Promise<void> {
  await deps.store.commit((tx) => {
    const row = knownRow(tx, id);
    const plan = planOfRow(row);
    const last = row.ringsOpen >= ringNames(plan).length;
    // The table first: a campaign in another state is refused for its state, whatever its rings say.
    stateAfter(id, row, last ? 'settle' : 'open-ring');
    const counts = new Map(tx.rotation.counts(id).map((count) => [count.ring, count]));
    let detail: Record<string, string> = {};
    for (const [index, name] of ringNames(plan).slice(0, row.ringsOpen).entries()) {
      const verdict = verdictOf(plan, counts.get(index + 1));
      // Of a ring before the newest people have said it already, and the log has it.
      if (verdict.verdict === 'moved' || (verdict.verdict === 'nobody' && index + 1 < row.ringsOpen)) continue;
      if (verdict.verdict === 'nobody' && unproven !== undefined) {
        detail = { unproven: name, reason: unproven, why: verdict.seen };
        continue;
      }
      throw new KeysteadError('rotation.not-ready', { field: `ring ${name}`, seen: verdict.seen });
    }
    if (last) steps.step(tx, row, 'settle', by, detail);
    else steps.openRing(tx, row, plan, by, detail);
  });
}
