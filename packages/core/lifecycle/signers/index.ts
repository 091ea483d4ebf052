export { hasHardwareKey, isHeldInHardware, keyName, keysOf, spkiOfSigner } from './keys.ts';
export { type PasskeyUse, passkeyUses } from './passkey-use.ts';
export { type Proof, SIGNATURE_KINDS, type SignatureKind, type StatementSigner } from './proof.ts';
export { ableFor } from './rules.ts';
export { type OperatorSigner, OperatorSignersSchema } from './schema.ts';
export { type ProvenKey, provenKey, SSH_NAMESPACE, webauthnChallenge } from './verify.ts';
