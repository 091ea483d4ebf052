export * from './body.ts';
export * from './body-writer.ts';
export { type CrmfCertId, type ParsedCrmf, parseCertReqMsg } from './certificate-request.ts';
export { CMP_TIME_TOLERANCE_SECONDS, requireIdentifiers, requireMessageTime } from './freshness.ts';
export * from './general-values.ts';
export {
  CMP_NONCE_OCTETS,
  CMP_VERSIONS,
  type CmpHeader,
  type CmpInfo,
  type CmpVersion,
  directoryName,
  headerDer,
} from './header.ts';
export { type CmpMessage, cmpMessage, MAX_CMP_BYTES, parseCmpMessage } from './message.ts';
export { CONTROLS, INFO_TYPES } from './oids.ts';
export * from './protection.ts';
export { CMP_FAILURES, CMP_STATUS, type CmpFailure, type CmpStatus, type CmpStatusInfo } from './status.ts';
