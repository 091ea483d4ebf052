export { type AskedBy, Authorisations } from './authorisations.ts';
export { type AuthorisedRequest, nameOf, type Pending, subjectOf } from './authorised.ts';
export { Authority, type AuthorityOptions } from './authority.ts';
export { type AuthorityDeps, answeringIssuers, type Signing } from './deps.ts';
export type { DeviceRequest } from './enrolment.ts';
export { CertificateRecords, type Issued, onlineIssuer, type Signed } from './issued.ts';
export { type KeyClaim, KeyClaims, KeyTaken, keyVerdict } from './key-claims.ts';
export type { Reconciled } from './reconciliation.ts';
export {
  type FinalReason,
  inForce,
  type RevocationOrder,
  type Revoked,
  revokeAll,
  type Selector,
} from './revocation.ts';
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
