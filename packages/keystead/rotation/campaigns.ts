import { KeysteadError } from '@keystead/core/errors';
import { verifyRotationOrder } from '@keystead/core/lifecycle';
import type { CampaignRow, Tx } from '../store/index.ts';
import { nextRing, switchOver } from './advance.ts';
import type { AskedBy, RotationDeps } from './deps.ts';
import { enrolDevices } from './enrol-devices.ts';
import { givenUp, signersOf, withStatements } from './insistence.ts';
import { encodedPlan, planOf } from './plan.ts';
import {
  heldFirmwareKeys,
  requireOldTrustedByNobody,
  requireRetirable,
  requireStartable,
  requireWayBack,
} from './readiness.ts';
import { countsOf, dryRun, dryRunOfNext, requireNobodyCutOff } from './report.ts';
import { type CampaignEvent, canStep, INITIAL } from './states.ts';
import { CampaignSteps, knownRow, type More, requireOpen } from './steps.ts';
import { type CampaignView, campaignView, type DryRunView, dryRunView, planOfRow, samePlan } from './view.ts';
import { CampaignWatch } from './watch.ts';

/** The most that one answer lists. */
const LISTED = 200;
/**
 * Rotation campaigns: a plan, what it would do to each device, and its way from state to state. Each step and its audit
 * entry are one transaction; what must be so before a step is looked at when the step is taken, never believed from
 * before. REQ-KEY-ROT-02, REQ-KEY-ROT-03
 */
export class Campaigns {
  readonly #deps: RotationDeps;
  readonly #steps: CampaignSteps;
  readonly #watch: CampaignWatch;
  /** Steps that read the whole fleet come one after another. */
  #turn: Promise<unknown> = Promise.resolve();
  constructor(deps: RotationDeps) {
    this.#deps = deps;
    this.#steps = new CampaignSteps(deps);
    this.#watch = new CampaignWatch(deps, this.#steps, (act) => this.#inTurn(act));
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
        this.#steps.told(tx, 'rotation.planned', row, by, { reason: plan.reason, emergency: plan.emergency });
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
    return dryRunView(row, plan, await this.#inTurn(() => dryRunOfNext(this.#deps, row, plan)));
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
        const run = await dryRunOfNext(this.#deps, row, plan);
        const { order } = agreed;
        const differs = (field: string, seen: string) =>
          new KeysteadError('rotation-order.other-order', { field, seen });
        if (order.campaign !== id) throw differs('order.campaign', order.campaign);
        if (order.planSha256 !== row.planSha256) throw differs('order.planSha256', order.planSha256);
        const devices = givenUp(order, run);
        await this.#deps.store.commit((tx) => {
          const now = this.#steps.unchanged(tx, row);
          for (const { deviceId, ring } of devices) {
            if (tx.rotation.device(id, deviceId) === undefined) tx.rotation.insertDevice(id, deviceId, ring);
            tx.rotation.insisted(id, deviceId);
          }
          // changedAt stays: by it a paused campaign knows how long it was paused.
          const after = { ...now, statements: withStatements(now.statements, statements) };
          tx.rotation.step(after);
          this.#steps.told(tx, 'rotation.insisted', after, by, {
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
        const { row, plan } = this.#steps.at(id, 'start');
        requireStartable(plan, this.#deps);
        const run = await dryRunOfNext(this.#deps, row, plan);
        if (!plan.emergency) requireNobodyCutOff(run);
        await enrolDevices(this.#deps, plan);
        await this.#deps.store.commit((tx) => {
          this.#steps.step(tx, this.#steps.unchanged(tx, row), 'start', by, countsOf(run));
        });
        return this.show(id);
      }),
    );
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
        await this.#watch.look(id);
        if (canStep(row, 'switch')) await switchOver(this.#deps, this.#steps, id, by);
        else await nextRing(this.#deps, this.#steps, id, by, unproven);
        return this.show(id);
      }),
    );
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
          this.#steps.step(tx, row, event, by, detail, more);
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
        const { row, plan } = this.#steps.at(id, 'retire');
        const run = await dryRun(this.#deps, plan, { of: 'now', startedAt: row.startedAt ?? undefined });
        if (!plan.emergency) requireNobodyCutOff(run);
        const held = await heldFirmwareKeys(this.#deps, plan);
        await this.#deps.store.commit((tx) => {
          const now = this.#steps.unchanged(tx, row);
          requireRetirable(plan, row.startedAt ?? 0, this.#deps, tx, held);
          requireOldTrustedByNobody(run, (device) => tx.rotation.device(id, device)?.insisted === 1);
          this.#steps.step(tx, now, 'retire', by, countsOf(run));
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
        this.#steps.told(tx, 'rotation.device-failed', row, by, { device: deviceId, why });
      });
      await this.#inTurn(() => this.#watch.pauseOnFailures(id));
      return this.show(id);
    });
  }

  /** Counts the uptake of what is open, and pauses what fails. While it is at that, another call waits for the same. */
  tick(): Promise<void> {
    return this.#watch.tick();
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
