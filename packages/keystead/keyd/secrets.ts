import { fromBase64 } from '@keystead/core/bytes';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { readPassphrase, type SealedPassphrase } from '../keystore/index.ts';
import { CHANNEL_KEY_BYTES } from './handshake.ts';

/** What keyd is given at its start, by a way that no other user can read. */
export interface KeydSecrets {
  readonly passphrase: SecretBytes;
  readonly channelKey: SecretBytes;
}

/**
 * One JSON document on a file descriptor, or two systemd credentials: `keyd-passphrase`, `keyd-channel-key`. With
 * `sealed` the passphrase is what this machine's TPM has sealed in a file, and only the channel key comes the other way.
 */
export type SecretsSource = ({ readonly fd: number } | { readonly credentials: true }) & {
  readonly sealed?: SealedPassphrase;
};

/** The document may itself name the file of the TPM: `{"tpm2": {"path": "..."}, "channelKey": "..."}`. */
const Document = z.strictObject({
  passphrase: z.string().min(1).optional(),
  tpm2: z.strictObject({ path: z.string().min(1), tpm: z.string().min(1).optional() }).optional(),
  channelKey: z.string(),
});

/**
 * Reads the secrets. The strings that JSON.parse makes cannot be wiped; they are let go at once (docs/keyd.md).
 * @throws KeysteadError `keyd.secrets-malformed`, `passphrase.*`, and `tpm2.*` where a TPM sealed the passphrase.
 */
export async function readSecrets(source: SecretsSource): Promise<KeydSecrets> {
  if ('credentials' in source) {
    using text = await readPassphrase({ credential: 'keyd-channel-key' });
    const channelKey = channelKeyOf(text.use((bytes) => Buffer.from(bytes).toString('latin1')));
    const from = source.sealed === undefined ? { credential: 'keyd-passphrase' } : { tpm2: source.sealed };
    return { passphrase: await readPassphrase(from), channelKey };
  }
  using document = await readPassphrase({ fd: source.fd });
  const parsed = Document.safeParse(document.use(jsonOf));
  if (!parsed.success) throw malformed(parsed.error.issues[0]?.path.join('.') || 'document');
  const { passphrase, tpm2 = source.sealed } = parsed.data;
  // Two answers to one question: whoever wrote the document meant one of them.
  if ((passphrase === undefined) === (tpm2 === undefined)) throw malformed('passphrase');
  const channelKey = channelKeyOf(parsed.data.channelKey);
  if (tpm2 !== undefined) return { passphrase: await readPassphrase({ tpm2 }), channelKey };
  return { passphrase: SecretBytes.take(new TextEncoder().encode(passphrase)), channelKey };
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
