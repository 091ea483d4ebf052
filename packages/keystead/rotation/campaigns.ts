import { KeysteadError } from '@keystead/core/errors';
import { verifyRotationOrder } from '@keystead/core/lifecycle';
import type { CampaignRow, Reader, Tx } from '../store/index.ts';
import { type AskedBy, type RotationDeps, SYSTEM } from './deps.ts';
import { fleetFacts } from './facts.ts';
import type { HeldFirmwareKey } from './held-firmware-keys.ts';
import { givenUp, signersOf, withStatements } from './insistence.ts';
import { rulesOf } from './kinds.ts';
import { encodedPlan, type Plan, planOf, ringNames } from './plan.ts';
import {
  requireOldTrustedByNobody,
  requireRetirable,
  requireStartable,
  requireSwitched,
  requireTakenBack,
  requireWayBack,
} from './readiness.ts';
import { type DryRun, dryRun } from './report.ts';
import { ringOf, verdictOf } from './rings.ts';
import { type CampaignEvent, canStep, INITIAL, stateAfter } from './states.ts';
import { reasonToPause, watchUptake } from './uptake-watch.ts';
import { type CampaignView, campaignView, type DryRunView, dryRunView, planOfRow, samePlan } from './view.ts';

/** The most that one answer lists. */
const LISTED = 200;
/** The most devices of a campaign, as many as are signed for in one list. */
const MOST_DEVICES = 1_000_000;

type More = Partial<Pick<CampaignRow, 'statements' | 'pauseReason' | 'ringsOpen'>>;

/**
 * Rotation campaigns: a plan, what it would do to each device, and its way from state to state. Each step and its audit
 * entry are one transaction; what must be so before a step is looked at when the step is taken, never believed from
 * before. REQ-KEY-ROT-02, REQ-KEY-ROT-03
 */
export class Campaigns {
  readonly #deps: RotationDeps;
  /** Steps that read the whole fleet come one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  /** The look at the uptake that is under way: over a large fleet it takes longer than from one tick to the next. */
  #ticking: Promise<void> | undefined;

  constructor(deps: RotationDeps) {
    this.#deps = deps;
  }

  /**
   * Takes a plan. Nothing changes by it; the same again is the same.
   * @throws KeysteadError `rotation.*`, audited.
   */
  plan(draft: unknown, by: AskedBy): Promise<CampaignView> {
    return this.#audited('plan a rotation', by, async () => {
      const plan = planOf(draft);
      const { text, sha256 } = encodedPlan(plan);
      requireStartable({ ...plan, emergency: false }, this.#deps);
      const now = this.#now();
      await this.#deps.store.commit((tx) => {
        const known = tx.rotation.campaign(plan.id);
        if (known !== undefined) {
          if (samePlan(known, plan)) return;
          throw new KeysteadError('rotation.plan-differs', { field: 'id', seen: plan.id });
        }
        const other = tx.rotation.open().find(({ kind, target }) => kind === plan.kind && target === plan.target);
        if (other !== undefined) throw new KeysteadError('rotation.overlaps', { field: 'target', seen: other.id });
        const row: CampaignRow = {
          ...{ id: plan.id, kind: plan.kind, target: plan.target, state: INITIAL, was: null, pauseReason: null },
          ...{ plan: text, planSha256: sha256, ringsOpen: 0, statements: null },
          ...{ actor: `${by.actor.kind}:${by.actor.id}`, requestId: by.requestId, plannedAt: now, changedAt: now },
          ...{ startedAt: null, switchedAt: null, retiringAt: null, endedAt: null },
        };
        tx.rotation.insert(row);
        this.#told(tx, 'rotation.planned', row, by, { reason: plan.reason, emergency: plan.emergency });
      });
      return this.show(plan.id);
    });
  }

  /** @throws KeysteadError `rotation.unknown`. */
  show(id: string): CampaignView {
    return this.#deps.store.read((records) => {
      const row = knownRow(records, id);
      return campaignView(records, row, signersOf(row.statements));
    });
  }

  /** The newest first. */
  list(): CampaignView[] {
    return this.#deps.store.read((records) =>
      records.rotation.campaigns(LISTED).map((row) => campaignView(records, row, signersOf(row.statements))),
    );
  }

  /** Who would be cut off, and why, at the next step that can do it. @throws KeysteadError `rotation.unknown`. */
  async dryRun(id: string): Promise<DryRunView> {
    const row = this.#deps.store.read((records) => knownRow(records, id));
    const plan = planOfRow(row);
    return dryRunView(row, plan, await this.#inTurn(() => this.#asked(row, plan)));
  }

  /** The question of the step that comes: a forecast before the start, after it what would be so at once. */
  #asked(row: CampaignRow, plan: Plan): Promise<DryRun> {
    const { state, was, startedAt } = row;
    const of = (was ?? state) === 'planned' ? 'forecast' : 'now';
    return dryRun(this.#deps, plan, { of, startedAt: startedAt ?? undefined });
  }

  /**
   * Takes what a quorum signed: that the campaign goes on although it cuts these devices off. They must be the very devices
   * of a dry run of now, or some of them by their names: then the others are waited for as before.
   * @throws KeysteadError `rotation-order.*`, `rotation.*`, audited; nothing changes then.
   */
  insist(id: string, statements: readonly string[], by: AskedBy): Promise<CampaignView> {
    return this.#audited('insist on a rotation', by, () =>
      this.#inTurn(async () => {
        const row = this.#deps.store.read((records) => knownRow(records, id));
        requireOpen(row, 'insist');
        const agreed = verifyRotationOrder(statements, this.#deps.policy, this.#deps.clock.now());
        const plan = planOfRow(row);
        const run = await this.#asked(row, plan);
        const { order } = agreed;
        const differs = (field: string, seen: string) =>
          new KeysteadError('rotation-order.other-order', { field, seen });
        if (order.campaign !== id) throw differs('order.campaign', order.campaign);
        if (order.planSha256 !== row.planSha256) throw differs('order.planSha256', order.planSha256);
        const devices = givenUp(order, run);
        await this.#deps.store.commit((tx) => {
          const now = this.#unchanged(tx, row);
          for (const { deviceId, ring } of devices) {
            if (tx.rotation.device(id, deviceId) === undefined) tx.rotation.insertDevice(id, deviceId, ring);
            tx.rotation.insisted(id, deviceId);
          }
          // changedAt stays: by it a paused campaign knows how long it was paused.
          const after = { ...now, statements: withStatements(now.statements, statements) };
          tx.rotation.step(after);
          this.#told(tx, 'rotation.insisted', after, by, {
            devices: devices.length,
            devicesSha256: order.devicesSha256,
            ...(order.only === undefined ? {} : { named: order.only.join(', ') }),
            proposer: agreed.proposer,
            approvers: agreed.approvers.join(', '),
            reason: order.reason,
          });
        });
        return this.show(id);
      }),
    );
  }

  /**
   * Begins a campaign: what it rotates must be there, and it must cut nobody off whom no quorum gives up. In an emergency
   * the quorum that revoked the CA has decided that already.
   * @throws KeysteadError `rotation.*`, audited; the campaign stays a plan.
   */
  start(id: string, by: AskedBy): Promise<CampaignView> {
    return this.#audited('start a rotation', by, () =>
      this.#inTurn(async () => {
        const { row, plan } = this.#at(id, 'start');
        requireStartable(plan, this.#deps);
        const run = await this.#asked(row, plan);
        if (!plan.emergency) requireNobodyCutOff(run);
        await this.#enrolDevices(plan);
        await this.#deps.store.commit((tx) => {
          this.#step(tx, this.#unchanged(tx, row), 'start', by, countsOf(run));
        });
        return this.show(id);
      }),
    );
  }

  /** Writes down which device is in which ring; what stands there from a start that was cut short stays. */
  async #enrolDevices(plan: Plan): Promise<void> {
    let total = 0;
    for await (const page of fleetFacts(this.#deps, plan)) {
      total += page.length;
      if (total > MOST_DEVICES)
        throw new KeysteadError('rotation.too-many-devices', { field: plan.id, seen: `${total}` });
      await this.#deps.store.commit((tx) => {
        for (const { device } of page) {
          const { deviceId, model, ticketId: batch } = device;
          if (tx.rotation.device(plan.id, deviceId) !== undefined) continue;
          tx.rotation.insertDevice(plan.id, deviceId, ringOf(plan, { deviceId, model, batch }));
        }
      });
    }
  }

  /**
   * The next step forward: to the new one, the next ring, or the last wait.
   * @param unproven why it goes on although nobody of the newest ring is left to move; refused without.
   * @throws KeysteadError `rotation.*` with what is missing, audited; nothing changes then.
   */
  advance(id: string, by: AskedBy, unproven?: string): Promise<CampaignView> {
    return this.#audited('advance a rotation', by, () =>
      this.#inTurn(async () => {
        const row = this.#deps.store.read((records) => knownRow(records, id));
        await this.#watch(id);
        return canStep(row, 'switch') ? this.#switch(id, by) : this.#nextRing(id, by, unproven);
      }),
    );
  }

  async #switch(id: string, by: AskedBy): Promise<CampaignView> {
    const { row, plan } = this.#at(id, 'switch');
    const held = await this.#firmwareKeys(plan);
    requireSwitched(plan, this.#deps, held);
    const run = rulesOf(plan.kind).cutsOffAt === 'switch' ? await this.#asked(row, plan) : undefined;
    if (run !== undefined) requireNobodyCutOff(run);
    await this.#deps.store.commit((tx) => {
      // Once more: while the fleet was read another bundle may have come, or a CA may have been revoked.
      requireSwitched(plan, this.#deps, held);
      const switched = this.#step(tx, this.#unchanged(tx, row), 'switch', by, run === undefined ? {} : countsOf(run));
      this.#openRing(tx, switched, plan, by);
    });
    return this.show(id);
  }

  async #nextRing(id: string, by: AskedBy, unproven: string | undefined): Promise<CampaignView> {
    await this.#deps.store.commit((tx) => {
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
      if (last) this.#step(tx, row, 'settle', by, detail);
      else this.#openRing(tx, row, plan, by, detail);
    });
    return this.show(id);
  }

  #openRing(tx: Tx, row: CampaignRow, plan: Plan, by: AskedBy, more: Record<string, string> = {}): void {
    const ring = row.ringsOpen + 1;
    const openedAt = this.#now();
    tx.rotation.openRing({ campaign: row.id, ring, openedAt, windowEnd: openedAt + plan.spreadSeconds * 1000 });
    const detail = { ...more, ring: ringNames(plan)[ring - 1] ?? '' };
    this.#step(tx, row, 'open-ring', by, detail, { ringsOpen: ring });
  }

  /** Stops a campaign where it is, for people to look. @throws KeysteadError `rotation.*`, audited. */
  pause(id: string, reason: string, by: AskedBy): Promise<CampaignView> {
    return this.#simple(id, 'pause', 'pause a rotation', by, { reason }, { pauseReason: reason });
  }

  /**
   * Lets it go on; windows and patience have not run meanwhile, and what failed before counts no more.
   * @throws KeysteadError `rotation.*`, audited.
   */
  resume(id: string, reason: string, by: AskedBy): Promise<CampaignView> {
    return this.#simple(id, 'resume', 'resume a rotation', by, { reason }, { pauseReason: null }, (tx, row) => {
      // Those whose devices are late already stay; in the others neither window nor patience has run.
      const late = row.changedAt - planOfRow(row).patienceSeconds * 1000;
      tx.rotation.moveWindows(id, late, this.#now() - row.changedAt);
      // Else it would pause again at once, for what people have just seen.
      tx.rotation.acknowledge(id);
    });
  }

  /** Takes it back while that is possible. @throws KeysteadError `rotation.*`, audited. */
  rollBack(id: string, reason: string, by: AskedBy): Promise<CampaignView> {
    return this.#simple(id, 'roll-back', 'roll back a rotation', by, { reason }, { pauseReason: null }, (_tx, row) => {
      requireWayBack(planOfRow(row), row.was ?? row.state, this.#deps);
    });
  }

  /** Gives up a plan. @throws KeysteadError `rotation.*`, audited. */
  abort(id: string, reason: string, by: AskedBy): Promise<CampaignView> {
    return this.#simple(id, 'abort', 'abort a rotation', by, { reason });
  }

  #simple(
    id: string,
    event: CampaignEvent,
    what: string,
    by: AskedBy,
    detail: Record<string, string>,
    more: More = {},
    also: (tx: Tx, before: CampaignRow) => void = () => {},
  ): Promise<CampaignView> {
    return this.#audited(what, by, () =>
      this.#inTurn(async () => {
        await this.#deps.store.commit((tx) => {
          const row = knownRow(tx, id);
          this.#step(tx, row, event, by, detail, more);
          also(tx, row);
        });
        return this.show(id);
      }),
    );
  }

  /**
   * Ends the old one, when plan, policy and fleet let it.
   * @throws KeysteadError `rotation.too-early`, `rotation.not-ready`, `rotation.strands-devices`, audited.
   */
  retire(id: string, by: AskedBy): Promise<CampaignView> {
    return this.#audited('retire by a rotation', by, () =>
      this.#inTurn(async () => {
        const { row, plan } = this.#at(id, 'retire');
        const run = await dryRun(this.#deps, plan, { of: 'now', startedAt: row.startedAt ?? undefined });
        if (!plan.emergency) requireNobodyCutOff(run);
        const held = await this.#firmwareKeys(plan);
        await this.#deps.store.commit((tx) => {
          const now = this.#unchanged(tx, row);
          requireRetirable(plan, row.startedAt ?? 0, this.#deps, tx, held);
          requireOldTrustedByNobody(run, (device) => tx.rotation.device(id, device)?.insisted === 1);
          this.#step(tx, now, 'retire', by, countsOf(run));
        });
        return this.show(id);
      }),
    );
  }

  /** Takes note that a device failed, as people at the device have seen it. @throws KeysteadError `rotation.*`, audited. */
  reportFailure(id: string, deviceId: string, why: string, by: AskedBy): Promise<CampaignView> {
    return this.#audited('report a failed device', by, async () => {
      await this.#deps.store.commit((tx) => {
        const row = knownRow(tx, id);
        requireOpen(row, 'a failed device');
        if (tx.rotation.device(id, deviceId) === undefined) {
          throw new KeysteadError('rotation.unplanned-device', { field: 'device', seen: deviceId });
        }
        tx.rotation.failed(id, deviceId, why, this.#now());
        this.#told(tx, 'rotation.device-failed', row, by, { device: deviceId, why });
      });
      await this.#inTurn(() => this.#pauseOnFailures(id));
      return this.show(id);
    });
  }

  /** Counts the uptake of what is open, and pauses what fails. While it is at that, another call waits for the same. */
  tick(): Promise<void> {
    this.#ticking ??= this.#tick().finally(() => {
      this.#ticking = undefined;
    });
    return this.#ticking;
  }

  async #tick(): Promise<void> {
    const open = this.#deps.store.read((records) => records.rotation.open());
    const failed: unknown[] = [];
    for (const { id } of open) {
      // Of one that cannot be looked at the others must not go on unwatched.
      await this.#inTurn(() => this.#watch(id)).catch((error: unknown) => failed.push(error));
    }
    if (failed.length > 0) throw failed[0];
  }

  /** Looks at the campaign as it is when its turn has come: somebody may have paused or ended it while this waited. */
  async #watch(id: string): Promise<void> {
    const row = this.#deps.store.read((records) => knownRow(records, id));
    if (row.endedAt !== null || row.state === 'planned' || row.state === 'paused') return;
    await watchUptake(this.#deps, row);
    await this.#pauseOnFailures(row.id);
  }

  async #pauseOnFailures(id: string): Promise<void> {
    await this.#deps.store.commit((tx) => {
      const row = knownRow(tx, id);
      if (row.state !== 'switched') return;
      const reason = reasonToPause(tx, row);
      if (reason !== undefined) this.#step(tx, row, 'pause', SYSTEM, { reason }, { pauseReason: reason });
    });
  }

  /** What keyd holds for firmware, where the kind asks for it. */
  async #firmwareKeys({ kind }: Plan): Promise<readonly HeldFirmwareKey[]> {
    return kind === 'firmware-keys' ? this.#deps.firmwareKeys() : [];
  }

  /** Moves a campaign by the table, with its entry in the log. */
  #step(
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
    this.#told(tx, TOLD[event], after, by, detail);
    return after;
  }

  #told(tx: Tx, type: string, row: CampaignRow, { actor, requestId }: AskedBy, detail: Record<string, unknown>): void {
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
  #at(id: string, event: CampaignEvent): { row: CampaignRow; plan: Plan } {
    const row = this.#deps.store.read((records) => knownRow(records, id));
    stateAfter(id, row, event);
    return { row, plan: planOfRow(row) };
  }

  /** The row as it was when the fleet was read. @throws KeysteadError `rotation.step` where somebody came in between. */
  #unchanged(tx: Tx, row: CampaignRow): CampaignRow {
    const now = knownRow(tx, row.id);
    if (now.state === row.state && now.was === row.was && now.ringsOpen === row.ringsOpen) return now;
    throw new KeysteadError('rotation.step', { field: row.id, seen: `it is ${now.state} by now` });
  }

  /** One after another, so that two people do not decide by the same count. */
  #inTurn<T>(act: () => Promise<T>): Promise<T> {
    const next = this.#turn.then(act, act);
    this.#turn = next.catch(() => {});
    return next;
  }

  async #audited<T>(what: string, by: AskedBy, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') {
        await this.#deps.refusals.refused({ what, error, ...by });
      }
      throw error;
    }
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

function knownRow(records: Reader, id: string): CampaignRow {
  const row = records.rotation.campaign(id);
  if (row === undefined) throw new KeysteadError('rotation.unknown', { field: 'id', seen: id });
  return row;
}

/** @throws KeysteadError `rotation.step` where it has ended: nothing of it changes any more. */
function requireOpen({ id, state, endedAt }: CampaignRow, what: string): void {
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

/** @throws KeysteadError `rotation.strands-devices`. */
function requireNobodyCutOff({ cutOff }: DryRun): void {
  const left = cutOff.filter(({ insisted }) => !insisted);
  const [first] = left;
  if (first === undefined) return;
  const seen = `${left.length} devices, such as ${first.deviceId} (${first.why.join(', ')})`;
  throw new KeysteadError('rotation.strands-devices', { field: 'devices', seen });
}

const countsOf = ({ counts }: DryRun) => ({
  moved: counts.moved,
  unaffected: counts.unaffected,
  expected: counts.expected,
  cutOff: counts['cut-off'],
});
