export { FleetKeys, type FleetKeysDeps, holderOf } from './fleet-keys.ts';
export { lookInThread, type RunningLook } from './in-thread.ts';
export { coveredBy } from './known-groups.ts';
export { GROUP, type LookProgress, lookForSharedFactors, type WeakPair } from './look.ts';
