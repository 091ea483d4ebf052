export { datesOf } from './credential-dates.ts';
export { type CredentialSlot, type DeviceIdentity, DeviceState } from './device-state.ts';
export { type Disk, nodeDisk, replaceFile } from './disk.ts';
export type { HeldTrust } from './held-trust.ts';
export { type Credential, DEVICE_KEY_ALGORITHMS, type DeviceKeyAlgorithm, type Pending } from './manifest.ts';
export { RollbackGuard, type StateCounter } from './rollback-guard.ts';
export { tombstoneOf, type WipedFile, type WipeReport } from './wipe.ts';
