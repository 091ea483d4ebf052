export { CrlBundle } from './crl-bundle.ts';
export { type CrlSyncOptions, type CrlSyncOutcome, syncCrls } from './crl-sync.ts';
