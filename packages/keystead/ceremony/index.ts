export { fingerprintRows, readFingerprint } from '../files/fingerprint.ts';
export { describeNetwork, isOffline, type NetworkState, readNetwork } from '../host/network.ts';
export { ceremonyCommand } from './command.ts';
export { requireNoNetwork } from './conditions.ts';
export type { CeremonyOptions, CeremonyResult, FoundingOptions } from './options.ts';
export { runCeremony } from './run.ts';
export type { Answer, CeremonyIo } from './session.ts';
export { type Isolation, type SpawnCeremonyOptions, spawnCeremony } from './spawn.ts';
export { verifyCeremony } from './verify.ts';
