export { type BundleRules, CarriedTrust, factoryTrust } from './carried-trust.ts';
export { type ClockHealth, ProvenClock } from './proven-clock.ts';
export { HttpTrustSource, type TrustSource } from './trust-source.ts';
export { type TrustNews, TrustUpdater, type TrustUpdaterOptions } from './trust-updater.ts';
