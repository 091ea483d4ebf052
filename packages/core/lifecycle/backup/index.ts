export {
  type BackupCustodian,
  type BackupPolicy,
  BackupPolicySchema,
  checkBackupRules,
  MOST_CUSTODIANS,
} from './custodians.ts';
export * from './manifest.ts';
export { MASTER_MEMBER, refuseKeys, requireMember, requireNoKey } from './members.ts';
export * from './restore-order.ts';
export { commitmentOf, type OpenedShare, openShare, type ShareFacts, shareText } from './share.ts';
