export { describeNetwork, isOffline, type NetworkState, readNetwork } from '../host/network.ts';
export { ceremonyCommand } from './command.ts';
export { requireNoNetwork } from './conditions.ts';
export { hexGroups } from './fingerprint.ts';
export type { CeremonyOptions, CeremonyResult } from './options.ts';
export { runCeremony } from './run.ts';
export type { CeremonyIo } from './session.ts';
export { type Isolation, type SpawnCeremonyOptions, spawnCeremony } from './spawn.ts';
