export { checkStationRules } from './check.ts';
export { stationName } from './fields.ts';
export * from './order.ts';
export * from './rules.ts';
export * from './sign-on.ts';
