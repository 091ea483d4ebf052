export { canSign, signatureAlgorithmDer, signatureAlgorithmFor } from './algorithms.ts';
export { assembleSigned } from './assemble.ts';
export { type CertificateInfo, readCertificate } from './certificate.ts';
export { certificationRequest } from './certification-request.ts';
export * from './cms/index.ts';
export { type EntryOctets, entryOctets, type RevokedEntry } from './crl/entries.ts';
export { type RevocationList, readRevocationList } from './crl/list.ts';
export { type DistributionPoint, type IndirectCrl, readDistributionPoints } from './crl/points.ts';
export { type CrlInfo, readCrl } from './crl/read.ts';
export { CRL_REASONS, type CrlReason, REVOCATION_REASONS, type RevocationReason, reasonOf } from './crl/reasons.ts';
export { type CrlContents, type CrlHead, TbsCertList, tbsCertList } from './crl/tbs.ts';
export { CRL_WINDOW_BYTES, readCrlWindow } from './crl/window.ts';
export {
  MAX_CSR_BYTES,
  type ParsedCsr,
  parseCsr,
  type RequestedExtensions,
  verifyProofOfPossession,
  withoutChallenge,
} from './csr.ts';
export { MAX_CSR_ATTRIBUTES_BYTES, wantedKeyAlgorithm } from './csr-attributes.ts';
export * from './der/writer.ts';
export { type Extension, findExtension, readTlsFeatures } from './extensions.ts';
export { generalNamesDer } from './general-names.ts';
export {
  checkModuli,
  checkPublicKey,
  countWeakKeys,
  isWeakModulus,
  type KnownGroup,
  MOST_PARTNERS,
  NO_WEAK_KEYS,
  readWeakKeys,
  rsaModulus,
  type SharedPair,
  type WeakKeys,
} from './goodkey/index.ts';
export {
  checkDeviceId,
  checkPersonName,
  deviceIdOf,
  deviceUrn,
  hostSan,
  personNameOf,
  personUrn,
  wildcardSan,
} from './identity.ts';
export { ipOctets, ipText } from './ip-address.ts';
export { keyIdentifier } from './key-identifier.ts';
export { LINT_RULES, lintCertificate, lintInfo } from './lint/certificate.ts';
export type { LintFinding } from './lint/finding.ts';
export { lintValues } from './lint/values.ts';
export { isHostWithin } from './name-constraints.ts';
export {
  type DistinguishedName,
  EMPTY_NAME,
  formatName,
  type NameAttribute,
  nameDer,
  nameKey,
  nameValues,
  parseName,
  sameName,
} from './names.ts';
export { type OcspAnswer, type OcspAnswerSingle, parseOcspResponse } from './ocsp/answer.ts';
export { type OcspCertId, OcspIssuer, responderKeyHash } from './ocsp/cert-id.ts';
export { CERT_ID_HASHES, type CertIdHash, NONCE_OCTETS, OCSP_OIDS } from './ocsp/oids.ts';
export { buildOcspRequest, MAX_OCSP_REQUEST_BYTES, type ParsedOcspRequest, parseOcspRequest } from './ocsp/request.ts';
export {
  type CertStatus,
  type OcspContents,
  type OcspErrorStatus,
  type OcspSingle,
  ocspError,
  ocspResponse,
  tbsOcspResponse,
} from './ocsp/response.ts';
export { type CheckedCertStatus, type OcspExpectation, readOcspResponse } from './ocsp/verify.ts';
export * from './oids.ts';
export { CertificateBag } from './path/build.ts';
export { checkPath, type FoundPath, findPath, type PathResult } from './path/check.ts';
export { readCaCertificate } from './path/known-cas.ts';
export { PATH_RULES, type PathFailure, type PathRule } from './path/rules.ts';
export type { PathOptions } from './path/validate.ts';
export { PERMANENT_IDENTIFIER, type PermanentIdentifier, permanentIdentifiersOf } from './permanent-identifier.ts';
export { CA_ROLES, type CaRole, type Profile, ProfileSchema } from './profile.ts';
export { type Named, namesFor } from './profile-names.ts';
export { parseRequest, REQUEST_FORMATS, type RequestFormat, requestSha256 } from './request.ts';
export { checkRequest } from './requested.ts';
export { rereadIssued } from './reread.ts';
export {
  certificateStatus,
  checkRevocation,
  combineStatuses,
  type RevocationEvidence,
  type RevocationFilter,
  type RevocationGood,
  type RevocationOptions,
} from './revocation/check.ts';
export { RevocationLists } from './revocation/lists.ts';
export {
  type CertificateStatus,
  STATUS_RULES,
  type StatusFailure,
  type StatusRule,
  statusFailure,
} from './revocation/rules.ts';
export { newSerial, serialOf } from './serial.ts';
export { CertificateTemplate } from './template.ts';
export * from './tsp/index.ts';
export { type CertificateValues, type Issuance, type IssuanceOptions, NO_END, type StatusUrls } from './values.ts';
