export {
  Attestation,
  type AttestationChallenge,
  type ChallengeLimits,
  type UnitAtLine,
} from './attestation.ts';
export type { Chip } from './chip.ts';
export { Chips } from './chips.ts';
export { chipStatement, type ElementChallenge, Elements } from './elements.ts';
export {
  type AttestedKey,
  type ChipFacts,
  type DiversifiedFacts,
  type ElementKey,
  type InjectedKey,
  type KeyOrigin,
  originFields,
} from './key-origin.ts';
export type { ShownKeys } from './shown-keys.ts';
