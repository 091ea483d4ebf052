export { Consigned } from './consigned.ts';
export type { ResolvedJournalEntry } from './entries.ts';
export { type FleetUnit, FleetUnits, type OwnUnits, type Standing } from './fleet-units.ts';
export { Histories, type Link } from './histories.ts';
export { Intake } from './intake.ts';
export { OwnUnits as ConsignableUnits } from './own-units.ts';
export type { ConsigningFactory } from './proof.ts';
