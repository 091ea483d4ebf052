/**
 * `keystead/crypto`: derivation, agreement and wrapping for programs beside Keystead. docs/crypto.md has a page on it with
 * the standard, the vectors and the openssl command of each function. Nothing here reads a file, a clock or the network.
 */

// Keys from one secret: REQ-KEY-KDF-01.
// Keys from a passphrase: REQ-KEY-KDF-02.
// Keys that two parties agree on: REQ-KEY-KAG-01.
// The same, safe from quantum computers too.
// Keys and small secrets under a key.
// What all of them take, and what they throw.
export {
  type Agreement,
  type AgreementGroup,
  type AgreementKey,
  agreementInfo,
  agreementOctets,
  agreementSpki,
  constantTimeEqual,
  defaultPasswordKdf,
  deviceKey,
  type Encapsulation,
  EphemeralKey,
  generateAgreementKey,
  generateHybridKey,
  generateMlKemKey,
  type HybridKem,
  hkdf,
  hybridDecapsulate,
  hybridEncapsulate,
  hybridPublicKey,
  type KbkdfMode,
  type KdfHash,
  type KemKey,
  kbkdf,
  mlKemDecapsulate,
  mlKemEncapsulate,
  mlKemPublicKey,
  type OneStepFunction,
  oneStepKdf,
  openBytes,
  type PasswordKdf,
  PurposeKeys,
  passwordKey,
  randomBytes,
  requireAgreementKey,
  SecretBytes,
  type SessionKeys,
  type StaticAgreementKey,
  sealBytes,
  sessionKeys,
  softwareAgreement,
  twoStepKdf,
  unwrapKey,
  type WrapMode,
  wrapKey,
} from '@keystead/core/crypto';
export { type ErrorCode, KeysteadError } from '@keystead/core/errors';
