import { type Signer, softwareSigner } from '@keystead/core/crypto';
import { Layout } from '../files/layout.ts';
import { readPassphrase, readSealedPkcs8Pem } from '../keystore/index.ts';

/** Whose key signs, and where it is: no service need run, and nothing else of the data directory need be there. */
export interface OfflineSignerOptions {
  data: string;
  as: string;
  key?: string;
  passphraseFd?: string;
}

/**
 * A signer with an operator's own key: that of the file, or the one in the data directory.
 * @throws KeysteadError `keystore.*`, `passphrase.*`.
 */
export async function offlineSigner({ data, as, key, passphraseFd }: OfflineSignerOptions): Promise<Signer> {
  const layout = new Layout(data);
  const path = key ?? `${layout.operators}/${as}.key.pem`;
  const source =
    (passphraseFd !== undefined && { fd: Number(passphraseFd) }) ||
    (key === undefined ? { file: layout.passphrase('operators') } : ({ prompt: true } as const));
  using passphrase = await readPassphrase(source);
  const { algorithm, pkcs8 } = readSealedPkcs8Pem(path, passphrase);
  try {
    return softwareSigner(algorithm, pkcs8);
  } finally {
    pkcs8.wipe();
  }
}
