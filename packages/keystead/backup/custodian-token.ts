import { dirname, resolve } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import { ageRecipientOf, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type AgreementKeystore, canAgree, openKeystore, readKeystoreFile } from '../keystore/index.ts';
import { type AgeIdentity, P256Identity } from './age.ts';

/** What a custodian's key is called in a token or a TPM, unless told. */
export const CUSTODIAN_KEY_ID = 'backup-share';

/**
 * Opens the custodian's own token or TPM for as long as `work` takes.
 * @param file its description, as keyd's `keystore.json` (docs/keystore.md): make `pkcs11` or `tpm2`.
 * @param pin stays with the caller.
 * @throws KeysteadError `keystore.*`, `config.*`; `key.algorithm-mismatch` for a keystore whose keys only sign.
 */
export async function withCustodianKeystore<T>(
  file: string,
  pin: SecretBytes,
  clock: Clock,
  work: (keystore: AgreementKeystore) => Promise<T>,
): Promise<T> {
  const keystore = await openKeystore(readKeystoreFile(file, dirname(resolve(file))), pin, clock);
  try {
    if (canAgree(keystore)) return await work(keystore);
    throw new KeysteadError('key.algorithm-mismatch', { field: file, seen: 'a keystore whose keys only sign' });
  } finally {
    keystore.close();
  }
}

/** Makes the key in the token; it never leaves it. @returns the recipient for the policy. */
export async function makeTokenKey(keystore: AgreementKeystore, id = CUSTODIAN_KEY_ID): Promise<string> {
  const { spki } = await keystore.generateAgreement(id, 'P-256', 'share of backups');
  return ageRecipientOf(spki);
}

/** The key in the token, as what opens age files. @throws KeysteadError `keystore.key-missing`. */
export const tokenIdentity = (keystore: AgreementKeystore, id = CUSTODIAN_KEY_ID): AgeIdentity =>
  new P256Identity(keystore.agreement(id));
