export {
  Attestation,
  type AttestationChallenge,
  type ChallengeLimits,
  type UnitAtLine,
} from './attestation.ts';
export { type AttestedKey, type KeyOrigin, originFields } from './key-origin.ts';
export type { ShownKeys } from './shown-keys.ts';
