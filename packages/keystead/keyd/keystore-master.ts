import { readFileSync } from 'node:fs';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import type { KeystoreConfig } from '../keystore/index.ts';
import { parseSealedFile } from '../keystore/sealed-format.ts';
import type { Result } from './protocol.ts';

/**
 * The master of a sealed keystore, as its file's header tells it: the key that its passphrase is stretched to. It has
 * no public half, so the salt gives it its name, and another passphrase makes another key. REQ-KEY-POL-01
 * @param config a token has no such key; a TPM's keystore has that of the sealed file beside it.
 * @throws KeysteadError `keystore.damaged`.
 */
export function keystoreMasters(config: KeystoreConfig): Result<'keys'>['masters'] {
  const path = sealedFileOf(config);
  if (path === undefined) return [];
  const { createdAt, fips140, kdf } = parseSealedFile(readFileSync(path)).header;
  return [
    {
      id: `keystore-master-${toHex(sha256(kdf.salt)).slice(0, 16)}`,
      purpose: 'keystore-master',
      algorithm: 'AES-256-GCM',
      // Stretched from the passphrase at each start; only the sealed keys are in the file.
      custody: 'memory',
      fips140,
      createdAt: new Date(createdAt),
      evidence: { kdf: kdf.kdf },
    },
  ];
}

function sealedFileOf(config: KeystoreConfig): string | undefined {
  if (config.make === 'sealed') return config.path;
  return config.make === 'tpm2' ? config.sealed : undefined;
}
