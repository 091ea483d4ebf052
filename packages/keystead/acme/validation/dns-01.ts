import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Trial } from '../trials.ts';
import type { Names } from './names.ts';

/**
 * RFC 8555 section 8.4: a TXT record at `_acme-challenge.` holds the hash of the key authorization. For a wildcard it is
 * looked for at the name below the asterisk.
 * @throws KeysteadError `acme.dns`, `acme.response-incorrect`.
 */
export async function tryDns01(trial: Trial, names: Names): Promise<void> {
  const name = `_acme-challenge.${trial.identifier.value}`;
  const texts = await names.texts(name);
  if (texts.includes(dnsDigest(trial.keyAuthorization))) return;
  const seen = texts.slice(0, 3).map((text) => JSON.stringify(text.slice(0, 60)));
  throw new KeysteadError('acme.response-incorrect', { field: `TXT ${name}`, seen: seen.join(', ') || 'no record' });
}

/** What a dns-01 record holds (RFC 8555 section 8.4): base64url of SHA-256 of the key authorization. */
const dnsDigest = (keyAuthorization: string): string =>
  Buffer.from(sha256(Buffer.from(keyAuthorization, 'ascii'))).toString('base64url');
