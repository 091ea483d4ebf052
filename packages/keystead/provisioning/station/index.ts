export type { OpenBatch } from './batches.ts';
export { STATION_CLOCK_TOLERANCE_MS } from './clock.ts';
export type { StationCall, StationDeps } from './deps.ts';
export {
  OUTCOMES,
  type Outcome,
  type OutcomeName,
  outcomeNamed,
  outcomeOf,
  outcomeOfError,
  outcomesTable,
  type RigResult,
} from './outcomes.ts';
export { type StationState, Stations, type UnitResult } from './stations.ts';
