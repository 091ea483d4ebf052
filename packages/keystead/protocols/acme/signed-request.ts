import { KeysteadError } from '@keystead/core/errors';
import type { FastifyRequest } from 'fastify';
import type { Account, Acme } from '../../acme/index.ts';
import { type PublicJwk, publicJwk } from './jwk.ts';
import { headerKey, type Jws, parseJwsBody, payloadJson, requireAlgorithm, requireSignature } from './jws.ts';
import type { Nonces } from './nonces.ts';
import type { Urls } from './resources.ts';

/** A request whose signature, URL and nonce were checked. */
export interface SignedRequest {
  readonly jws: Jws;
  readonly key: PublicJwk;
  readonly url: string;
}

/** The same of an account that may act. */
export interface AccountRequest extends SignedRequest {
  readonly account: Account;
}

/** What requests are held against. */
export interface RequestRules {
  readonly acme: Acme;
  readonly nonces: Nonces;
  readonly urls: Urls;
  /** The path at which ACME is served, as it stands in requests. */
  readonly prefix: string;
}

/** Who asks, as far as limits go. */
export const addressOf = (request: FastifyRequest): string => request.raw.socket.remoteAddress ?? 'unknown';

/**
 * Checks a request in this order: how often its address asks, form, algorithm, URL, signature, nonce. So a nonce is
 * used up only by whoever can sign, and nothing of an account is told to who cannot.
 * @throws RateLimited; KeysteadError `acme.*`.
 */
export function signedRequest(request: FastifyRequest, rules: RequestRules): SignedRequest {
  const { acme, nonces, urls, prefix } = rules;
  acme.limits.requests.take(addressOf(request));
  const jws = parseJwsBody(request.body);
  requireAlgorithm(jws);
  const url = `${urls.base}${request.url.slice(prefix.length)}`;
  if (jws.url !== url) throw new KeysteadError('acme.url-differs', { field: 'url', seen: jws.url.slice(0, 120) });
  const key = jws.kid === undefined ? headerKey(jws) : accountKey(jws.kid, rules);
  requireSignature(jws, key);
  nonces.use(jws.nonce);
  return { jws, key, url };
}

/** @throws as {@link signedRequest}; KeysteadError `acme.malformed` for a jwk in the place of a kid. */
export function accountRequest(request: FastifyRequest, rules: RequestRules): AccountRequest {
  const signed = signedRequest(request, rules);
  return { ...signed, account: accountOf(signed.jws, rules) };
}

/** The account that a request names by kid. @throws KeysteadError `acme.malformed`, `acme.account-*`. */
export function accountOf({ kid }: Jws, { acme, urls }: RequestRules): Account {
  if (kid === undefined)
    throw new KeysteadError('acme.malformed', { field: 'protected', seen: 'jwk, where kid is needed' });
  return acme.accounts.require(urls.accountOf(kid) ?? '');
}

function accountKey(kid: string, { acme, urls }: RequestRules): PublicJwk {
  const id = urls.accountOf(kid);
  const known = id === undefined ? undefined : acme.accounts.keyOf(id);
  if (known === undefined) throw new KeysteadError('acme.account-unknown', { field: 'kid', seen: kid.slice(0, 120) });
  return publicJwk(JSON.parse(known.jwk));
}

/** The payload, or undefined of POST-as-GET (RFC 8555 section 6.3). @throws KeysteadError `acme.malformed`. */
export const payloadOf = (jws: Jws): unknown => (jws.payload.length === 0 ? undefined : payloadJson(jws));

/** @throws KeysteadError `acme.malformed` for a request that is no POST-as-GET. */
export function requireEmpty({ payload }: Jws): void {
  if (payload.length > 0)
    throw new KeysteadError('acme.malformed', { field: 'payload', seen: 'one, where none is needed' });
}
