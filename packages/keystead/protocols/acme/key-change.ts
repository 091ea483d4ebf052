import { KeysteadError } from '@keystead/core/errors';
import { type PublicJwk, publicJwk } from './jwk.ts';
import { checked, headerKey, parseJws, payloadJson, requireSignature } from './jws.ts';
import { KeyChange } from './payloads.ts';

/**
 * The new key of an account (RFC 8555 section 7.3.5): the payload is a JWS by the new key over the account and the old
 * one, for the same URL. So neither key can be put in place without its holder.
 * @param payload of the outer request, by the old key. @throws KeysteadError `acme.*`.
 */
export function newKeyOf(payload: unknown, v: { accountUrl: string; oldKey: PublicJwk; url: string }): PublicJwk {
  const inner = parseJws(payload);
  const key = headerKey(inner);
  requireSignature(inner, key);
  if (inner.url !== v.url)
    throw new KeysteadError('acme.url-differs', { field: 'payload.url', seen: inner.url.slice(0, 120) });
  if (inner.nonce !== undefined)
    throw new KeysteadError('acme.malformed', { field: 'payload.nonce', seen: 'one, where none is needed' });
  const { account, oldKey } = checked(KeyChange, payloadJson(inner), 'payload');
  if (account !== v.accountUrl)
    throw new KeysteadError('acme.malformed', { field: 'payload.account', seen: 'another account' });
  if (publicJwk(oldKey).thumbprint !== v.oldKey.thumbprint) {
    throw new KeysteadError('acme.malformed', { field: 'payload.oldKey', seen: 'another key than the account has' });
  }
  return key;
}
