export { type PersonKeyName, Pkcs11Schema } from '@keystead/pkcs11';
export {
  type KeystoreConfig,
  keystoreConfigPath,
  parseKeystoreConfig,
  readKeystoreConfig,
  readKeystoreFile,
  sealedConfig,
  writeKeystoreConfig,
} from './config.ts';
export {
  COUNTER_MAKES,
  type CounterConfig,
  type CounterMake,
  type CounterReading,
  counterConfigPath,
  type MonotonicCounter,
  makeTokenCounter,
  makeTpm2Counter,
  NO_MARK,
  openCounter,
  readCounterConfig,
  writeCounterConfig,
} from './counter/index.ts';
export {
  type AgreementKeystore,
  CUSTODIES,
  type Custody,
  type DerivingKeyInfo,
  type DerivingKeystore,
  type KeyAgreement,
  type KeyDeriver,
  type KeyInfo,
  type Keystore,
  type KeyWrapper,
  type WrappingKeyInfo,
  type WrappingKeystore,
} from './keystore.ts';
export {
  canAgree,
  canDerive,
  canWrap,
  createKeystore,
  derivingPart,
  openKeystore,
  openOrCreateKeystore,
} from './open.ts';
export { type PassphraseSource, readPassphrase } from './passphrase.ts';
export { readSealedPkcs8Pem, writeSealedPkcs8Pem } from './pkcs8-pem.ts';
export { withPersonKey } from './pkcs11/person-key.ts';
export { createSealedKeystore, openSealedKeystore, type SealedKeystoreOptions } from './sealed.ts';
export {
  createTpm2Keystore,
  openTpm2Keystore,
  readSealedSecret,
  type SealedPassphrase,
  unsealPassphrase,
  writeSealedSecret,
} from './tpm2/index.ts';
