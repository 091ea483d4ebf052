export { type AgeIdentity, P256Identity, toArmor } from './age.ts';
export { slipOf } from './container.ts';
export { type CreateBackupOptions, createBackup } from './create.ts';
export {
  CUSTODIAN_KEY_TYPES,
  type CustodianKeyType,
  makeCustodianKey,
  needsPassphrase,
  readCustodianKey,
} from './custodian-key.ts';
export { CUSTODIAN_KEY_ID, makeTokenKey, tokenIdentity, withCustodianKeystore } from './custodian-token.ts';
export { type Drilled, drillBackup } from './drill.ts';
export type { Newest } from './newest.ts';
export { type Restored, type RestoreQuorum, restoreBackup } from './restore.ts';
export {
  bringStatements,
  type RestoreRequest,
  readRequest,
  writeRequest,
} from './restore-request.ts';
export { fingerprintOf, respond, ShareSession } from './session.ts';
export { type BackupTrust, openBackup, type SignedBackup, verifyBackup } from './verify.ts';
