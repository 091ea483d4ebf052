export type { ApprovalQuorum } from './agreement.ts';
export * from './attestation-policy.ts';
export * from './authorisation.ts';
export * from './authorised-subject.ts';
export * from './backup/index.ts';
export * from './ca-revocation.ts';
export * from './ceremony/bundle.ts';
export * from './ceremony/bundle-check.ts';
export * from './ceremony/firmware-request.ts';
export * from './ceremony/generation.ts';
export * from './ceremony/kind.ts';
export * from './ceremony/rehearsal.ts';
export * from './ceremony/renewal.ts';
export {
  type CeremonyRequest,
  firmwareCsrs,
  formatCeremonyRequest,
  type OptionalSlot,
  parseCeremonyRequest,
  REQUEST_SLOTS,
  type RequestSlot,
  requestedCsr,
  requestName,
} from './ceremony/request.ts';
export * from './ceremony/transcript.ts';
export * from './certificate-states.ts';
export { type CertifyOrder, certify } from './certify.ts';
export * from './crl-lists.ts';
export * from './cryptoperiod.ts';
export * from './default-profiles.ts';
export * from './demo-policy.ts';
export * from './demo-sections.ts';
export * from './device-ids.ts';
export { durationText } from './duration.ts';
export * from './factory/index.ts';
export * from './firmware/index.ts';
export { DEFAULT_FLEET_KEYS, type FleetKeyPolicy } from './fleet-key-policy.ts';
export * from './inventory.ts';
export * from './issuer.ts';
export * from './key-history.ts';
export * from './key-order.ts';
export * from './key-purposes.ts';
export * from './key-states.ts';
export {
  type Cryptoperiod,
  type CustodyRule,
  KEY_CUSTODIES,
  type KeyCustody,
  type Quorum,
  SENSITIVE_ACTS,
  type SensitiveAct,
  STRENGTH_BITS,
} from './keying.ts';
export * from './policy.ts';
export * from './policy-check.ts';
export * from './policy-differences/differences.ts';
export { policyDocument } from './policy-document/document.ts';
export { renderHtml } from './policy-document/html.ts';
export { renderMarkdown } from './policy-document/markdown.ts';
export type { PolicyHistoryEntry } from './policy-document/people.ts';
export { checkPolicyRules } from './policy-rules.ts';
export * from './policy-statement.ts';
export * from './policy-update.ts';
export { REQUIRED_PROFILES, VALIDITY_CEILINGS } from './profile-rules.ts';
export {
  draftQuorumDocument,
  joinQuorumDocuments,
  parseQuorumDocument,
  type QuorumDocument,
  type QuorumKind,
  type QuorumSignature,
  type SigningQuorum,
  signQuorumDocument,
  verifyQuorumDocument,
} from './quorum-document.ts';
export * from './recount.ts';
export * from './revocation-authority.ts';
export * from './revocation-rules.ts';
export * from './revocation-statement.ts';
export * from './roles.ts';
export * from './root-crl.ts';
export * from './rotation-order.ts';
export { firstIssue } from './schema-field.ts';
export * from './signers/index.ts';
export * from './station/index.ts';
export * from './ticket.ts';
export * from './ticket-use.ts';
export * from './trust/index.ts';
export * from './tsa.ts';
export * from './unit-keys-policy.ts';
export { nameWiped, signWipeEvidence, verifyWipeEvidence, type WipeClaims } from './wipe-evidence.ts';
