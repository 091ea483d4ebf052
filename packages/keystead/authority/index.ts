export { askedSubject } from './asked-subject.ts';
export { type AskedBy, Authorisations } from './authorisations.ts';
export { type AuthorisedRequest, nameOf, type Pending, subjectOf } from './authorised.ts';
export { Authority, type AuthorityOptions } from './authority.ts';
export { type FinalReason, inForce, revokeAll, type Standing } from './certificate-changes.ts';
export { type AuthorityDeps, answeringIssuers, type Signing } from './deps.ts';
export type { DeviceRequest } from './enrolment.ts';
export { CertificateRecords, type Issued, onlineIssuer, ownIssuer, type Signed } from './issued.ts';
export { type KeyClaim, KeyClaims, KeyTaken, keyVerdict } from './key-claims.ts';
export type { Reconciled } from './reconciliation.ts';
export type { RevocationOrder, Revoked } from './revocation.ts';
export type { ActView } from './revocation-act-view.ts';
export type { ActOrder } from './revocation-acts.ts';
export type { Census } from './revocation-census.ts';
export { batchRevoked } from './revocation-run.ts';
export { type RootCrlDeps, RootCrlPublisher } from './root-crl.ts';
export type { Selector } from './selection.ts';
export type { ServerKey, ServerKeyRequest } from './server-key.ts';
export type { StatusListener } from './status.ts';
export { requireClock } from './time.ts';
export {
  type Alongside,
  type Ask,
  CONFIRM_SECONDS,
  EnrolmentTransactions,
  type Outcome,
  type TransactionRef,
  type TransactionStart,
  type Verdict,
} from './transactions.ts';
export { withheldOf } from './withheld.ts';
