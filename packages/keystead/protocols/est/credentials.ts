import { KeysteadError } from '@keystead/core/errors';

/** The id and the secret of an enrolment authorisation (RFC 7030 section 3.2.3). */
export interface BasicCredentials {
  readonly id: string;
  readonly secret: string;
}

/** What a client without a certificate is asked for (RFC 9110 section 11.6.1, RFC 7617). */
export const BASIC_CHALLENGE = 'Basic realm="Keystead EST", charset="UTF-8"';

const MOST_CHARACTERS = 1024;

/**
 * Reads an Authorization header. Undefined when there is none.
 * @throws KeysteadError `est.authorization-malformed` for another scheme, or anything but base64 of `id:secret`.
 */
export function basicCredentials(header: string | undefined): BasicCredentials | undefined {
  if (header === undefined) return undefined;
  const [, token] = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header.slice(0, MOST_CHARACTERS)) ?? [];
  const text = token === undefined ? '' : Buffer.from(token, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  // Nothing of it is told: it may hold a secret.
  if (colon < 1) throw new KeysteadError('est.authorization-malformed', { field: 'Authorization' });
  return { id: text.slice(0, colon), secret: text.slice(colon + 1) };
}
