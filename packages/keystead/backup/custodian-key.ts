import { existsSync, readFileSync, statSync } from 'node:fs';
import { ageRecipientOf, generateSoftwareKey, SecretBytes, softwareAgreement } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { Decrypter, Encrypter } from 'age-encryption';
import { durableWrite } from '../files/durable.ts';
import { readSealedPkcs8Pem, writeSealedPkcs8Pem } from '../keystore/index.ts';
import { type AgeIdentity, newIdentity, P256Identity, textOf } from './age.ts';

/** How a custodian's key is kept when it is a file. Keys in tokens and TPMs are made there. */
export const CUSTODIAN_KEY_TYPES = ['p256', 'x25519'] as const;
export type CustodianKeyType = (typeof CUSTODIAN_KEY_TYPES)[number];

/** age's own work factor: about a second. */
const SCRYPT_LOG_N = 18;

/**
 * Makes a custodian's key, under a passphrase. `p256` is encrypted PKCS#8, as openssl reads it; `x25519` an age
 * identity file that is itself encrypted with age's scrypt, as `age -d -i FILE` reads it.
 * @returns the recipient, which goes into the policy.
 * @throws KeysteadError `backup.exists`, `kdf.passphrase-empty`, `rng.unhealthy`.
 */
export async function makeCustodianKey(path: string, type: CustodianKeyType, passphrase: SecretBytes): Promise<string> {
  if (existsSync(path)) throw new KeysteadError('backup.exists', { field: 'out', seen: path });
  if (passphrase.length === 0) throw new KeysteadError('kdf.passphrase-empty', { field: 'passphrase' });
  if (type === 'p256') {
    const { pkcs8, spki } = generateSoftwareKey('P-256');
    using held = pkcs8;
    await writeSealedPkcs8Pem(path, held, passphrase);
    return ageRecipientOf(spki);
  }
  const { identity, recipient } = await newIdentity();
  using held = identity;
  const encrypter = new Encrypter();
  encrypter.setScryptWorkFactor(SCRYPT_LOG_N);
  encrypter.setPassphrase(textOf(passphrase));
  const file = await encrypter.encrypt(`# public key: ${recipient}\n${textOf(held)}\n`);
  durableWrite(path, file, 0o600);
  return recipient;
}

/** How a key file begins, by its kind. */
const AGE_FILE = 'age-encryption.org/v1';
const PKCS8 = '-----BEGIN ENCRYPTED PRIVATE KEY-----';

/**
 * Whether a key file is under a passphrase. @throws KeysteadError `keystore.missing`.
 */
export const needsPassphrase = (path: string): boolean =>
  !/^AGE-SECRET-KEY-1/m.test(contentOf(path).toString('latin1'));

/**
 * The keys in a custodian's file: encrypted PKCS#8, an encrypted age identity, or a plain one (as age-keygen writes it;
 * only for its owner's eyes).
 * @throws KeysteadError `keystore.missing`, `key.not-opened`, `key.malformed`, `passphrase.file-exposed`.
 */
export async function readCustodianKey(path: string, passphrase: SecretBytes | undefined): Promise<AgeIdentity[]> {
  const content = contentOf(path);
  const text = content.toString('latin1');
  if (/^AGE-SECRET-KEY-1/m.test(text)) {
    if ((statSync(path).mode & 0o077) !== 0) throw new KeysteadError('passphrase.file-exposed', { field: path });
    return identitiesIn(text, path);
  }
  if (passphrase === undefined) throw new KeysteadError('key.not-opened', { field: path, seen: 'no passphrase' });
  if (text.includes(PKCS8)) {
    const { algorithm, pkcs8 } = readSealedPkcs8Pem(path, passphrase);
    using held = pkcs8;
    if (algorithm !== 'P-256') throw new KeysteadError('key.malformed', { field: path, seen: `a key on ${algorithm}` });
    return [softwareIdentity(held)];
  }
  if (!text.startsWith(AGE_FILE))
    throw new KeysteadError('key.malformed', { field: path, seen: 'no key of a custodian' });
  const decrypter = new Decrypter();
  decrypter.addPassphrase(textOf(passphrase));
  using opened = SecretBytes.take(
    await decrypter.decrypt(Uint8Array.from(content)).catch(() => {
      throw new KeysteadError('key.not-opened', { field: path });
    }),
  );
  return identitiesIn(textOf(opened), path);
}

function identitiesIn(text: string, path: string): string[] {
  const lines = text.split('\n').map((line) => line.trim());
  const identities = lines.filter((line) => /^AGE-SECRET-KEY-1[A-Z0-9]+$/.test(line));
  if (identities.length === 0) throw new KeysteadError('key.malformed', { field: path, seen: 'no age identity' });
  return identities;
}

function contentOf(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new KeysteadError('keystore.missing', { field: path, cause });
  }
}

/**
 * Opens what is encrypted to a P-256 key in memory. @param pkcs8 stays with the caller.
 * @throws KeysteadError as `softwareAgreement`.
 */
export function softwareIdentity(pkcs8: SecretBytes): P256Identity {
  const key = softwareAgreement('P-256', pkcs8);
  return new P256Identity({ keyAlgorithm: 'P-256', spki: key.spki, agree: async (peer) => key.agree(peer) });
}
