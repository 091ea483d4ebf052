export {
  type DsseEnvelope,
  type DsseSignature,
  dsseEnvelope,
  dsseKeyId,
  dsseSigners,
  readDsseEnvelope,
} from './envelope.ts';
export { dsse } from './format.ts';
export { type DssePayload, pae, readPae } from './pae.ts';
export { IN_TOTO_PAYLOAD_TYPE, type InTotoStatement, PREDICATES, readStatement, STATEMENT_TYPE } from './statement.ts';
