import { KeysteadError } from '@keystead/core/errors';
import type { Binding } from '../../acme/index.ts';
import type { PublicJwk } from './jwk.ts';
import { publicJwk } from './jwk.ts';
import { parseJws, payloadJson } from './jws.ts';

/**
 * The external account binding of a new account (RFC 8555 section 7.3.4), but for its MAC, which the domain checks with
 * the secret of the authorisation that `kid` names.
 * @param accountKey the key that signed the outer request. @param url of that request.
 * @throws KeysteadError `acme.malformed`, `acme.bad-signature-algorithm`, `acme.binding-refused`.
 */
export function readBinding(value: unknown, accountKey: PublicJwk, url: string): Binding {
  const jws = parseJws(value);
  if (jws.algorithm !== 'HS256') {
    throw new KeysteadError('acme.bad-signature-algorithm', {
      field: 'externalAccountBinding.alg',
      seen: `${JSON.stringify(jws.algorithm.slice(0, 40))}: a binding is made with HS256`,
    });
  }
  const refused = (seen: string): KeysteadError =>
    new KeysteadError('acme.binding-refused', { field: 'externalAccountBinding', seen });
  if (jws.kid === undefined) throw refused('no kid');
  if (jws.nonce !== undefined) throw refused('a nonce');
  if (jws.url !== url) throw refused('another url than that of the request');
  if (publicJwk(payloadJson(jws)).thumbprint !== accountKey.thumbprint)
    throw refused('another key than the account has');
  return { kid: jws.kid, signed: jws.signed, mac: jws.signature, document: jws.document };
}
