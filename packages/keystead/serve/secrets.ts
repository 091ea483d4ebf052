import { hkdf, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { channelKeyOf } from '../keyd/secrets.ts';
import { readPassphrase } from '../keystore/index.ts';

const Document = z.strictObject({ channelKey: z.string() });

/**
 * The channel key to keyd: one JSON document on a file descriptor, or the systemd credential `keyd-channel-key`.
 * It is all that serve is ever given. @throws KeysteadError `keyd.secrets-malformed`, `passphrase.*`
 */
export async function readChannelKey(fd: number | undefined): Promise<SecretBytes> {
  if (fd === undefined) {
    using text = await readPassphrase({ credential: 'keyd-channel-key' });
    return channelKeyOf(text.use((bytes) => Buffer.from(bytes).toString('latin1')));
  }
  using document = await readPassphrase({ fd });
  const parsed = Document.safeParse(document.use(jsonOf));
  if (!parsed.success) {
    throw new KeysteadError('keyd.secrets-malformed', { field: parsed.error.issues[0]?.path.join('.') || 'document' });
  }
  return channelKeyOf(parsed.data.channelKey);
}

/**
 * The key under which serve seals what it must keep and the database may not read: derived from the channel key, which
 * the database never has either. A new channel key makes what was sealed unreadable. The caller wipes it.
 */
export const sealingKeyOf = (channelKey: SecretBytes): SecretBytes =>
  hkdf('sha256', channelKey, new Uint8Array(), 'keystead serve sealing v1', 32);

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
