import { KeysteadError } from '@keystead/core/errors';
import type { CampaignRow, Reader, Tx } from '../store/index.ts';
import type { AskedBy, RotationDeps } from './deps.ts';
import { rulesOf } from './kinds.ts';
import { type Plan, ringNames } from './plan.ts';
import { requireTakenBack } from './readiness.ts';
import { type CampaignEvent, stateAfter } from './states.ts';
import { planOfRow } from './view.ts';

/** What a step changes of a campaign besides its state. */
export type More = Partial<Pick<CampaignRow, 'statements' | 'pauseReason' | 'ringsOpen'>>;

/** The steps of campaigns: each is one of the table, and stands in the log in the same transaction. */
export class CampaignSteps {
  readonly #deps: RotationDeps;

  constructor(deps: RotationDeps) {
    this.#deps = deps;
  }

  /** Moves a campaign by the table, with its entry in the log. */
  step(
    tx: Tx,
    row: CampaignRow,
    event: CampaignEvent,
    by: AskedBy,
    detail: Record<string, string | number> = {},
    more: More = {},
  ): CampaignRow {
    const to = stateAfter(row.id, row, event);
    const now = this.#now();
    if (event === 'roll-back') {
      requireReversible(row);
      requireTakenBack(planOfRow(row), this.#deps);
    }
    const ended = to.state === 'retired' || to.state === 'rolled-back' || to.state === 'aborted';
    const after: CampaignRow = {
      ...row,
      ...more,
      ...to,
      changedAt: now,
      startedAt: event === 'start' ? now : row.startedAt,
      switchedAt: event === 'switch' ? now : row.switchedAt,
      retiringAt: event === 'settle' ? now : row.retiringAt,
      endedAt: ended ? now : null,
    };
    tx.rotation.step(after);
    this.told(tx, TOLD[event], after, by, detail);
    return after;
  }

  /** Puts it in the log. */
  told(tx: Tx, type: string, row: CampaignRow, { actor, requestId }: AskedBy, detail: Record<string, unknown>): void {
    this.#deps.audit(tx, {
      type,
      actor,
      requestId,
      outcome: 'done',
      subject: { campaign: row.id, kind: row.kind, target: row.target },
      detail: {
        ...(detail as Record<string, string | number | boolean>),
        state: row.state,
        planSha256: row.planSha256,
      },
    });
  }

  /** A campaign that can take a step, as far as its state goes. @throws KeysteadError `rotation.unknown`, `rotation.step`. */
  at(id: string, event: CampaignEvent): { row: CampaignRow; plan: Plan } {
    const row = this.#deps.store.read((records) => knownRow(records, id));
    stateAfter(id, row, event);
    return { row, plan: planOfRow(row) };
  }

  /** The row as it was when the fleet was read. @throws KeysteadError `rotation.step` where somebody came in between. */
  unchanged(tx: Tx, row: CampaignRow): CampaignRow {
    const now = knownRow(tx, row.id);
    if (now.state === row.state && now.was === row.was && now.ringsOpen === row.ringsOpen) return now;
    throw new KeysteadError('rotation.step', { field: row.id, seen: `it is ${now.state} by now` });
  }

  /** Opens the next ring. */
  openRing(tx: Tx, row: CampaignRow, plan: Plan, by: AskedBy, more: Record<string, string> = {}): void {
    const ring = row.ringsOpen + 1;
    const openedAt = this.#now();
    tx.rotation.openRing({ campaign: row.id, ring, openedAt, windowEnd: openedAt + plan.spreadSeconds * 1000 });
    const detail = { ...more, ring: ringNames(plan)[ring - 1] ?? '' };
    this.step(tx, row, 'open-ring', by, detail, { ringsOpen: ring });
  }

  #now(): number {
    return this.#deps.clock.now().getTime();
  }
}

/** What the log says of each step. */
const TOLD: Readonly<Record<CampaignEvent, string>> = {
  start: 'rotation.started',
  switch: 'rotation.switched',
  'open-ring': 'rotation.ring-opened',
  settle: 'rotation.settled',
  retire: 'rotation.retired',
  pause: 'rotation.paused',
  resume: 'rotation.resumed',
  'roll-back': 'rotation.rolled-back',
  abort: 'rotation.aborted',
};

/** @throws KeysteadError `rotation.unknown`. */
export function knownRow(records: Reader, id: string): CampaignRow {
  const row = records.rotation.campaign(id);
  if (row === undefined) throw new KeysteadError('rotation.unknown', { field: 'id', seen: id });
  return row;
}

/** @throws KeysteadError `rotation.step` where it has ended: nothing of it changes any more. */
export function requireOpen({ id, state, endedAt }: CampaignRow, what: string): void {
  if (endedAt !== null) throw new KeysteadError('rotation.step', { field: id, seen: `${what}, where it is ${state}` });
}

/** @throws KeysteadError `rotation.step` where the kind cannot be taken back any more. */
function requireReversible(row: CampaignRow): void {
  const { kind } = planOfRow(row);
  const at = row.was ?? row.state;
  if (rulesOf(kind).reversible.includes(at)) return;
  const seen = `roll-back of ${kind} where it is ${at}: go on, or rotate once more`;
  throw new KeysteadError('rotation.step', { field: row.id, seen });
}
