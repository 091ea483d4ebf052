import { fromBase64 } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { readPassphrase } from '../keystore/index.ts';
import { CHANNEL_KEY_BYTES } from './handshake.ts';

/** What keyd is given at its start, by a way that no other user can read. */
export interface KeydSecrets {
  readonly passphrase: SecretBytes;
  readonly channelKey: SecretBytes;
}

/** One JSON document on a file descriptor, or two systemd credentials: `keyd-passphrase`, `keyd-channel-key`. */
export type SecretsSource = { readonly fd: number } | { readonly credentials: true };

const Document = z.strictObject({ passphrase: z.string().min(1), channelKey: z.string() });

/**
 * Reads the secrets. The strings that JSON.parse makes cannot be wiped; they are let go at once (docs/keyd.md).
 * @throws KeysteadError `keyd.secrets-malformed`, `passphrase.*`.
 */
export async function readSecrets(source: SecretsSource): Promise<KeydSecrets> {
  if ('credentials' in source) {
    using text = await readPassphrase({ credential: 'keyd-channel-key' });
    const channelKey = channelKeyOf(text.use((bytes) => Buffer.from(bytes).toString('latin1')));
    return { passphrase: await readPassphrase({ credential: 'keyd-passphrase' }), channelKey };
  }
  using document = await readPassphrase({ fd: source.fd });
  const parsed = Document.safeParse(document.use(jsonOf));
  if (!parsed.success) throw malformed(parsed.error.issues[0]?.path.join('.') || 'document');
  const channelKey = channelKeyOf(parsed.data.channelKey);
  return { passphrase: SecretBytes.take(new TextEncoder().encode(parsed.data.passphrase)), channelKey };
}

/** The front end reads the same key: base64 of 32 bytes. @throws KeysteadError `keyd.secrets-malformed`. */
export function channelKeyOf(text: string): SecretBytes {
  let bytes: Uint8Array;
  try {
    bytes = fromBase64(text);
  } catch {
    throw malformed('channelKey');
  }
  if (bytes.length !== CHANNEL_KEY_BYTES) throw malformed('channelKey');
  return SecretBytes.take(bytes);
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    // No cause: the parser's message quotes the document.
    throw malformed('document');
  }
}

const malformed = (field: string): KeysteadError => new KeysteadError('keyd.secrets-malformed', { field });
