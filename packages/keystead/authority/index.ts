export { askedSubject } from './asked-subject.ts';
export { type AskedBy, Authorisations } from './authorisations.ts';
export { type AuthorisedRequest, nameOf, type Pending, subjectOf } from './authorised.ts';
export { Authority, type AuthorityOptions } from './authority.ts';
export type { AuthorityDeps, Signing } from './deps.ts';
export type { DeviceRequest } from './enrolment.ts';
export { CertificateRecords, type Issued, type Signed } from './issued.ts';
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
export type { ServerKey, ServerKeyRequest } from './server-key.ts';
export type { StatusListener } from './status.ts';
export { requireClock } from './time.ts';
