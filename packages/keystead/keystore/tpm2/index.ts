export { type Tpm2KeystoreConfig, Tpm2Schema } from './configuration.ts';
export { createTpm2Keystore, openTpm2Keystore } from './keystore.ts';
export { readSealedSecret, type SealedPassphrase, unsealPassphrase, writeSealedSecret } from './sealed-passphrase.ts';
