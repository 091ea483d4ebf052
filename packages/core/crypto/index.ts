export { type AgeRecipient, ageRecipientOf, p256Point, p256Spki, parseAgeRecipient } from './age-recipient.ts';
export {
  type AgreementKey,
  EphemeralKey,
  generateAgreementKey,
  type StaticAgreementKey,
  softwareAgreement,
} from './agreement.ts';
export { type Agreement, agreementInfo } from './agreement-info.ts';
export { type AgreementGroup, agreementOctets, agreementSpki, requireAgreementKey } from './agreement-key.ts';
export {
  type ClassicalKeyAlgorithm,
  DIGEST_OF,
  type GeneratedKeyAlgorithm,
  isPostQuantum,
  isPss,
  KEYS_FOR,
  type KeyAlgorithm,
  POST_QUANTUM_ALGORITHMS,
  type PostQuantumAlgorithm,
  type PssScheme,
  pssSaltOctets,
  SIGNATURE_OF,
  type SignatureAlgorithm,
  type SignatureScheme,
} from './algorithms.ts';
export { type CbcContent, decryptCbc, encryptCbc } from './content-cipher.ts';
export {
  COSE_ALGORITHM,
  type CoseKeyAlgorithm,
  fromCoseSignature,
  isCoseKey,
  sign1Structure,
  toCoseSignature,
  verifyCoseSignature,
} from './cose.ts';
export { deviceKey } from './device-key.ts';
export { type DiversifiedInput, diversifiedInput, keyCheckValue } from './diversified-key.ts';
export { ecdsaNumbers, ecdsaSigValue } from './ecdsa-sig-value.ts';
export { decryptPkcs8, encryptPkcs8, type OpenedKey } from './encrypted-pkcs8.ts';
export { generateSoftwareKey, generateWithSigner, type SoftwareKey } from './generate.ts';
export {
  certSha256,
  constantTimeEqual,
  hmacSha256,
  hmacSha256With,
  sha1Identifier,
  sha256,
  sha384,
  spkiSha256,
} from './hash.ts';
export { HealthTest, type HealthTestOptions } from './health.ts';
export { hkdf } from './hkdf.ts';
export { type HpkeParts, hpkeKeys, hpkeOpen } from './hpke.ts';
export {
  generateHybridKey,
  type HybridKem,
  hybridDecapsulate,
  hybridEncapsulate,
  hybridPublicKey,
} from './hybrid-kem.ts';
export { type KbkdfMode, kbkdf, kbkdfInput } from './kbkdf.ts';
export type { KdfHash } from './kdf-bounds.ts';
export { ed25519Octets, ed25519Spki, publicKeyOf } from './key.ts';
export { type KeyTransport, softwareTransport, type TransportScheme, transportKey } from './key-transport.ts';
export { unwrapKey, type WrapMode, wrapKey } from './key-wrap.ts';
export { verifyHss, verifyLms } from './lms-verify.ts';
export {
  type Encapsulation,
  generateMlKemKey,
  type KemKey,
  mlKemDecapsulate,
  mlKemEncapsulate,
  mlKemPublicKey,
} from './ml-kem.ts';
export { type OneStepFunction, oneStepKdf } from './one-step-kdf.ts';
export { defaultPasswordKdf, fipsMode, type PasswordKdf, passwordKey } from './password.ts';
export { base64urlOctets, type MacHash, type PasswordMac, passwordMac } from './password-mac.ts';
export {
  LEAST_STRENGTH,
  type PeerSignatureAlgorithm,
  type PeerSignatureVerdict,
  peerKeyWeakness,
  verifyPeerSignature,
} from './peer-signature.ts';
export { algorithmOfSpki, ecPoint, ecSpki, rsaSpki } from './public-numbers.ts';
export { PurposeKeys } from './purpose-keys.ts';
export { RandomSource, randomBytes } from './random.ts';
export { openBytes, sealBytes } from './seal.ts';
export { SecretBytes } from './secret.ts';
export { type SessionKeys, sessionKeys } from './session-keys.ts';
export {
  type Pieces,
  requireScheme,
  type Signer,
  signBy,
  signPieces,
  softwareSigner,
  verifiedPieces,
  verifySignature,
} from './signature.ts';
export * from './ssh/index.ts';
export { twoStepKdf } from './two-step-kdf.ts';
export * from './webauthn/index.ts';
export { x963Kdf } from './x963-kdf.ts';
