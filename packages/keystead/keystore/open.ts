import { existsSync } from 'node:fs';
import type { Clock } from '@keystead/core/clock';
import type { SecretBytes } from '@keystead/core/crypto';
import type { KeystoreConfig } from './config.ts';
import type { AgreementKeystore, CompanionKeystore, DerivingKeystore, Keystore, WrappingKeystore } from './keystore.ts';
import { createSealedKeystore, openSealedKeystore } from './sealed.ts';
import { createTpm2, openTpm2 } from './tpm2/mixed.ts';

/**
 * Opens the keystore that a configuration names, whatever its make.
 * @param secret the passphrase of a sealed file or the user PIN of a token; of a TPM's sealed
 *   companion, if it has one. It stays with the caller, who may wipe it once
 *   the promise has settled.
 * @throws KeysteadError `keystore.*`, `kdf.*`, `rng.unhealthy`. REQ-KEY-STO-01
 */
export async function openKeystore(config: KeystoreConfig, secret: SecretBytes, clock: Clock): Promise<Keystore> {
  switch (config.make) {
    case 'sealed':
      return openSealedKeystore(config.path, secret, clock);
    case 'pkcs11':
      return openToken(config, secret, clock);
    case 'tpm2':
      return openTpm2(config, secret, clock);
  }
}

/**
 * Makes the keystore that a configuration names. A sealed file must not exist yet. A token was made by its own tools
 * (C_InitToken and the user PIN are its security officer's): it is opened, what is on it stays, and `generate`
 * refuses each id that it holds already.
 * @throws KeysteadError `keystore.exists`, and what {@link openKeystore} throws.
 */
export async function createKeystore(
  config: KeystoreConfig,
  secret: SecretBytes,
  clock: Clock,
  options: { readonly fips?: boolean } = {},
): Promise<Keystore> {
  switch (config.make) {
    case 'sealed':
      return createSealedKeystore(config.path, secret, clock, { fips: options.fips ?? config.fips });
    case 'pkcs11':
      return openToken(config, secret, clock);
    case 'tpm2':
      return createTpm2(config, secret, clock);
  }
}

/** Opens the keystore, or makes it when it is a file that is not there. @throws KeysteadError as the two others do. */
export function openOrCreateKeystore(
  config: KeystoreConfig,
  secret: SecretBytes,
  clock: Clock,
  options: { readonly fips?: boolean } = {},
): Promise<Keystore> {
  const isNew = config.make !== 'pkcs11' && !existsSync(config.path);
  return isNew ? createKeystore(config, secret, clock, options) : openKeystore(config, secret, clock);
}

/** Whether the keys of this keystore can agree on secrets, too. */
export const canAgree = (keystore: Keystore): keystore is AgreementKeystore => 'generateAgreement' in keystore;

/** Whether this keystore can wrap keys, too. */
export const canWrap = (keystore: Keystore): keystore is WrappingKeystore => 'generateWrapping' in keystore;

/** Whether this keystore has master keys, too. */
export const canDerive = (keystore: Keystore): keystore is DerivingKeystore => 'generateDeriving' in keystore;

/** What of this keystore has master keys: all of it, or the sealed file beside a TPM. */
export function derivingPart(keystore: Keystore): DerivingKeystore | undefined {
  if (canDerive(keystore)) return keystore;
  return hasCompanion(keystore) && canDerive(keystore.companion) ? keystore.companion : undefined;
}

const hasCompanion = (keystore: Keystore): keystore is CompanionKeystore => 'companion' in keystore;

/** Loaded when it is asked for, so that everything else works on a machine without the native addon. */
async function openToken(
  config: Extract<KeystoreConfig, { make: 'pkcs11' }>,
  pin: SecretBytes,
  clock: Clock,
): Promise<AgreementKeystore & WrappingKeystore & DerivingKeystore> {
  const { openPkcs11Keystore } = await import('./pkcs11/index.ts');
  return openPkcs11Keystore(config, pin, clock);
}
