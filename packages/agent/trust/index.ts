export { type BundleRules, CarriedTrust, factoryTrust } from './carried-trust.ts';
export { type DeviceRules, deviceRules, type RulesSource } from './device-rules.ts';
export { DeviceTls } from './device-tls.ts';
export { type ClockHealth, ProvenClock, provenTime } from './proven-clock.ts';
export { renewalInfo } from './renewal-info.ts';
export { HttpTrustSource, type TrustSource } from './trust-source.ts';
export { type TrustNews, TrustUpdater, type TrustUpdaterOptions } from './trust-updater.ts';
export { type RunningFirmware, reportUptake, type Uptake, uptakeOf } from './uptake.ts';
