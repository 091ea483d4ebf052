export {
  Attestation,
  type AttestationChallenge,
  type AttestationOrder,
  type AttestedKey,
  type KeyOrigin,
} from './attestation.ts';
export { type EndorsementKey, type EndorsementTrust, verifyEndorsement } from './endorsement.ts';
