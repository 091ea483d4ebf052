export { activateCredential, type Credential, makeCredential } from './attest/credential.ts';
export {
  certify,
  quote,
  requireAttestationKey,
  requireStrongName,
  type SignedStatement,
  verifyCertify,
  verifyCertifyByKey,
  verifyQuote,
} from './attest/statement.ts';
export { formatCredentialFile, publicOfFile } from './attest/tools-files.ts';
export { Channel, type ChannelOptions, permanent, readProperties } from './channel.ts';
export { type EndorsementCertificate, endorsementCertificates, withEndorsementKey } from './objects/endorsement.ts';
export { formatTpmKey, parseTpmKey, type TpmKeyFile } from './objects/key-file.ts';
export { agree, isBoundToTpm, sign } from './objects/keys.ts';
export { clearOwner, type LockoutState, lockoutState, resetLockout, setLockoutParameters } from './objects/lockout.ts';
export {
  defineCounter,
  MARK_BYTES,
  type NvCount,
  type NvCounter,
  OWNER_NV,
  readCounter,
  stepCounter,
  undefineCounter,
} from './objects/nv-counter.ts';
export {
  create,
  flushing,
  fromTemplate,
  inSession,
  type Loaded,
  load,
  type ObjectBlob,
  readPublic,
} from './objects/object.ts';
export { differingPcrs, extendPcr, readPcrs } from './objects/pcrs.ts';
export {
  DEFAULT_PCRS,
  formatSealedSecret,
  parseSealedSecret,
  type SealedSecret,
  sealSecret,
  unsealSecret,
} from './objects/sealed-secret.ts';
export { type OwnerAuth, SRK_HANDLE, withStorageRoot } from './objects/storage-root.ts';
export {
  agreementTemplate,
  algorithmOf,
  attestationTemplate,
  ENDORSEMENT_KINDS,
  type EndorsementKind,
  signingTemplate,
  type TpmKeyAlgorithm,
} from './objects/templates.ts';
export { TpmRandom } from './random.ts';
export { Tpm, type TpmInfo } from './tpm.ts';
export { DeviceTransport } from './transport/device.ts';
export { DEFAULT_ADDRESS, openTransport } from './transport/open.ts';
export type { Transport } from './transport/transport.ts';
export type { PcrSelection, PcrValues } from './wire/pcr.ts';
export {
  attributesOf,
  decodePublic,
  type EccPublic,
  encodePublic,
  hasAttributes,
  type KeyPublic,
  nameOf,
  type PublicArea,
  spkiOf,
} from './wire/public.ts';
export { TpmRefusal } from './wire/response-code.ts';
