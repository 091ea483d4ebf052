export type { OutcomeView, StateView, StationDomain, StationUnitRequest } from './domain.ts';
export { registerStation, STATION_ROUTES } from './routes.ts';
