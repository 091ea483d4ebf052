export { ceremonyCommand } from './command.ts';
export { fingerprintRows, readFingerprint } from './fingerprint.ts';
export { describeNetwork, isOffline, type NetworkState, readNetwork, requireNoNetwork } from './network.ts';
export type { CeremonyOptions, CeremonyResult, FoundingOptions } from './options.ts';
export { runCeremony } from './run.ts';
export type { Answer, CeremonyIo } from './session.ts';
export { type Isolation, type SpawnCeremonyOptions, spawnCeremony } from './spawn.ts';
