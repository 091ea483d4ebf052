import { readFileSync } from 'node:fs';
import { fromPem, toPem } from '@keystead/core/bytes';
import { decryptPkcs8, encryptPkcs8, type OpenedKey, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { durableWrite } from '../files/durable.ts';

const LABEL = 'ENCRYPTED PRIVATE KEY';

/**
 * Writes a private key as encrypted PKCS#8, PEM (RFC 7468 section 11), mode 0600, durably: the form that openssl, curl and
 * browsers' import dialogs read. PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC. REQ-KEY-STO-02.
 * @param pkcs8 PrivateKeyInfo, DER; stays with the caller, as does the passphrase.
 * @throws KeysteadError `kdf.passphrase-empty`, `rng.unhealthy`. @throws Error of node:fs.
 */
export async function writeSealedPkcs8Pem(path: string, pkcs8: SecretBytes, passphrase: SecretBytes): Promise<void> {
  durableWrite(path, toPem(LABEL, await encryptPkcs8(pkcs8, passphrase)), 0o600);
}

/**
 * The private key of a file in that form, whoever wrote it.
 * @throws KeysteadError `keystore.missing`, `key.malformed` (no such PEM block, or more than one), `key.not-opened`.
 */
export function readSealedPkcs8Pem(path: string, passphrase: SecretBytes): OpenedKey {
  return decryptPkcs8(onlyBlock(path), passphrase);
}

function onlyBlock(path: string): Uint8Array {
  let blocks: Uint8Array[];
  try {
    blocks = fromPem(LABEL, readFileSync(path, 'latin1'));
  } catch (cause) {
    const code = cause instanceof TypeError ? 'key.malformed' : 'keystore.missing';
    throw new KeysteadError(code, { field: path, seen: cause instanceof Error ? cause.message : 'an error', cause });
  }
  const [block] = blocks;
  if (block === undefined || blocks.length > 1) {
    throw new KeysteadError('key.malformed', { field: path, seen: `${blocks.length} blocks "${LABEL}"` });
  }
  return block;
}
