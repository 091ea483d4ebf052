import { mkdirSync } from 'node:fs';
import type { DerSpki } from '@keystead/core/bytes';
import type { Parcel } from '@keystead/core/lifecycle';
import { type OpenedBatch, openBatch } from './batch.ts';
import { type ChallengeOrder, challengeUnit, type UnitChallenge } from './challenge.ts';
import { type Decommissioned, type DecommissionOrder, decommission, resumeDecommissions } from './decommission.ts';
import type { ProvisioningDeps } from './deps.ts';
import { exportRecords } from './files.ts';
import { type TakenParcel, takeParcel } from './intake.ts';
import { Outbox } from './outbox.ts';
import { type Resolved, resolveConflict } from './resolution.ts';
import { type ProvisionedUnit, provisionUnit, type UnitOrder } from './unit.ts';
import {
  type ChipOrder,
  challengeChip,
  type DerivationOrder,
  deriveUnitKey,
  type InjectedUnit,
  type InjectionOrder,
  injectUnit,
} from './unit-ways.ts';

/** The beginning and the end of a device: batches, units, records, decommissioning. */
export class Provisioning {
  readonly #deps: ProvisioningDeps;

  constructor(deps: ProvisioningDeps) {
    this.#deps = deps;
    for (const directory of [deps.recordsDirectory, deps.evidenceDirectory]) mkdirSync(directory, { recursive: true });
  }

  /** Completes what a crash left. Call it before the first request is taken, after the authority has started. */
  async start(): Promise<void> {
    await exportRecords(this.#deps);
    await resumeDecommissions(this.#deps);
  }

  /** See {@link openBatch}. */
  openBatch(v: Parameters<typeof openBatch>[1]): Promise<OpenedBatch> {
    return openBatch(this.#deps, v);
  }

  /** See {@link challengeUnit}. */
  challengeUnit(order: ChallengeOrder): Promise<UnitChallenge> {
    return challengeUnit(this.#deps, order);
  }

  /** See {@link provisionUnit}. */
  provisionUnit(order: UnitOrder): Promise<ProvisionedUnit> {
    return provisionUnit(this.#deps, order);
  }

  /** See {@link takeParcel}. */
  takeParcel(parcel: Parcel, requestId: string): Promise<TakenParcel> {
    return takeParcel(this.#deps, parcel, requestId);
  }

  /** See {@link resolveConflict}. */
  resolveConflict(resolution: string, requestId: string): Promise<Resolved> {
    return resolveConflict(this.#deps, resolution, requestId);
  }

  /** What a factory node has for headquarters, whose receipts this key signs. */
  outbox(headquarters: DerSpki): Outbox {
    return new Outbox(this.#deps, headquarters);
  }

  /** See {@link challengeChip}. */
  challengeChip(order: ChipOrder): ReturnType<typeof challengeChip> {
    return challengeChip(this.#deps, order);
  }

  /** See {@link injectUnit}. */
  injectUnit(order: InjectionOrder): Promise<InjectedUnit> {
    return injectUnit(this.#deps, order);
  }

  /** See {@link deriveUnitKey}. */
  deriveUnitKey(order: DerivationOrder): ReturnType<typeof deriveUnitKey> {
    return deriveUnitKey(this.#deps, order);
  }

  /** See {@link decommission}. */
  decommission(order: DecommissionOrder): Promise<Decommissioned> {
    return decommission(this.#deps, order);
  }
}
