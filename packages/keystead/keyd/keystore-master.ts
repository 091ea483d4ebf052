import { readFileSync } from 'node:fs';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import type { KeystoreConfig } from '../keystore/index.ts';
import { parseSealedFile } from '../keystore/sealed-format.ts';
import type { Result } from './protocol.ts';

/**
 * The master of a sealed keystore, as its file's header tells it: the key that its passphrase is stretched to. It has
 * no public half, so the salt gives it its name, and another passphrase makes another key. REQ-KEY-POL-01
 * @param config a keystore that is no sealed file has no such key.
 * @throws KeysteadError `keystore.damaged`.
 */
export function keystoreMasters(config: KeystoreConfig): Result<'keys'>['masters'] {
  if (config.make !== 'sealed') return [];
  const { createdAt, fips140, kdf } = parseSealedFile(readFileSync(config.path)).header;
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
