export type { OpenedBatch } from './batch.ts';
export type { ChallengeOrder, UnitChallenge } from './challenge.ts';
export type { Decommissioned, DecommissionOrder } from './decommission.ts';
export type { ProvisioningDeps } from './deps.ts';
export { Provisioning } from './provisioning.ts';
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
