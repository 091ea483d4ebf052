export {
  type AgreementKeystore,
  CUSTODIES,
  type Custody,
  type KeyAgreement,
  type KeyInfo,
  type Keystore,
} from './keystore.ts';
export { type PassphraseSource, readPassphrase } from './passphrase.ts';
export { readSealedPkcs8Pem, writeSealedPkcs8Pem } from './pkcs8-pem.ts';
export { createSealedKeystore, openSealedKeystore, type SealedKeystoreOptions } from './sealed.ts';
