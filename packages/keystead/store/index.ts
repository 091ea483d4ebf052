export { AcmeReader, AcmeWriter } from './acme-records.ts';
export type { AcmeAccountRow, AcmeAuthorizationRow, AcmeChallengeRow, AcmeOrderRow } from './acme-rows.ts';
export type {
  AcmeAccountState,
  AcmeAuthorizationState,
  AcmeChallengeState,
  AcmeChallengeType,
  AcmeIdentifierType,
  AcmeOrderState,
} from './acme-schema.ts';
export type { AuthorisationRow, EnrolmentRequestRow } from './authorisation-rows.ts';
export type { RequestState } from './authorisation-schema.ts';
export { type Dialect, sqliteDialect } from './dialect.ts';
export type { CertifiedKey, KeyEventRow, KeyRow, ServiceKey } from './key-rows.ts';
export { openStore, type StoreOptions } from './open.ts';
export { readOnly } from './read-only.ts';
export { Reader, type RevokedRow, type StatusRow } from './reader.ts';
export type { ConsignmentRow, OutboxRow, QuarantinedRow } from './reconciliation-rows.ts';
export type { RevocableRow, RevocationActRow } from './revocation-rows.ts';
export type { RevocationActState } from './revocation-schema.ts';
export { type DeviceCampaign, RotationReader, RotationWriter } from './rotation-records.ts';
export type {
  CampaignDeviceRow,
  CampaignRingRow,
  CampaignRow,
  DeviceCredentialRow,
  RingCount,
} from './rotation-rows.ts';
export type { CampaignState } from './rotation-schema.ts';
export type {
  AuditRow,
  Certificate,
  CrlRow,
  Device,
  Evidence,
  JournalCertificate,
  KeyUse,
  ProvisioningRecord,
  Ticket,
} from './rows.ts';
export type { CertificateState, DeviceState, JournalFate } from './schema.ts';
export { SigningReader, SigningWriter } from './signing-records.ts';
export type { SigningRequestRow } from './signing-rows.ts';
export type { SigningState } from './signing-schema.ts';
export { type StationCounts, StationReader, StationWriter } from './station-records.ts';
export type { StationResultRow, StationSignOnRow } from './station-rows.ts';
export { type LockWait, Store } from './store.ts';
export { type AuditHead, Tx } from './transaction.ts';
export type { EnrolmentTransactionRow } from './transaction-rows.ts';
export type { TransactionState } from './transaction-schema.ts';
export type { TrustBundleRow, UptakeRow } from './trust-queries.ts';
