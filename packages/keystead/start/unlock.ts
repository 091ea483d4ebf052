import { existsSync, mkdirSync } from 'node:fs';
import { toBase64url } from '@keystead/core/bytes';
import { randomBytes, SecretBytes } from '@keystead/core/crypto';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { readPassphrase } from '../keystore/index.ts';

const HOLDERS = ['keyd', 'operators', 'devices'] as const;
export type Holder = (typeof HOLDERS)[number];

/**
 * The passphrases of the embedded default: one random file (256 bits, mode 0600) for each holder of keys, in
 * a directory beside the data and not in it, so that a copy of the data alone opens nothing. It is what
 * lets `npm start` come back without a person; whoever has both has the online keys. Production gives the
 * passphrase as a systemd credential or over a file descriptor instead (docs/keyd.md).
 */
export async function unlock(layout: Layout, holder: Holder): Promise<SecretBytes> {
  const path = layout.passphrase(holder);
  if (!existsSync(path)) {
    mkdirSync(layout.unlock, { recursive: true, mode: 0o700 });
    using random = SecretBytes.take(randomBytes(32));
    random.use((bytes) => durableWrite(path, `${toBase64url(bytes)}\n`, 0o600));
  }
  return readPassphrase({ file: path });
}
