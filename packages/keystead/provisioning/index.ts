export type { OpenedBatch } from './batch.ts';
export type { ChallengeOrder, UnitChallenge } from './challenge.ts';
export type { Decommissioned, DecommissionOrder } from './decommission.ts';
export type { ProvisioningDeps } from './deps.ts';
export { type TakenParcel, takeParcel } from './intake.ts';
export { Outbox, type OutboxProgress, outboxProgress, type ReadyParcel } from './outbox.ts';
export { Provisioning } from './provisioning.ts';
export { type Resolved, resolveConflict } from './resolution.ts';
export {
  OUTCOMES,
  type Outcome,
  outcomeNamed,
  outcomeOfError,
  outcomesTable,
  type StationCall,
  type StationDeps,
  type StationState,
  Stations,
} from './station/index.ts';
export type { ProvisionedUnit, UnitOrder } from './unit.ts';
export type { ChipOrder, DerivationOrder, InjectedUnit, InjectionOrder } from './unit-ways.ts';
