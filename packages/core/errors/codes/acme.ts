import type { ErrorEntry } from '../entry.ts';

/** ACME (RFC 8555). */
export const ACME_ERRORS = {
  'acme.malformed': { kind: 'invalid', rule: 'the request must be one of RFC 8555' },
  'acme.bad-nonce': {
    kind: 'invalid',
    rule: 'each request carries a nonce of this server that was not used before (RFC 8555 section 6.5)',
    remedy: 'send it again with the nonce of this answer',
  },
  'acme.bad-signature-algorithm': {
    kind: 'invalid',
    rule: 'a request is signed by ES256, ES384, EdDSA or RS256 (RFC 8555 section 6.2)',
  },
  'acme.bad-public-key': {
    kind: 'invalid',
    rule: 'an account key is P-256, P-384, Ed25519 or RSA of 2048, 3072 or 4096 bits, and not a known or weak one',
  },
  'acme.signature-invalid': { kind: 'invalid', rule: 'the signature must verify with the key of the request' },
  'acme.url-differs': {
    kind: 'forbidden',
    rule: 'a request is signed for the very URL that it is sent to (RFC 8555 section 6.4)',
    remedy: 'use the URLs of the directory as they stand there',
  },
  'acme.content-type': { kind: 'unsupported', rule: 'the content type of a request is application/jose+json' },
  'acme.method': { kind: 'invalid', rule: 'a resource is read by POST-as-GET (RFC 8555 section 6.3)' },
  'acme.unknown': { kind: 'not-found', rule: 'the resource must be there, and belong to the account' },
  'acme.account-unknown': { kind: 'invalid', rule: 'the account must exist' },
  'acme.account-not-valid': {
    kind: 'unauthenticated',
    rule: 'a deactivated or revoked account does nothing more (RFC 8555 section 7.3.6)',
    remedy: 'make a new account with another key',
  },
  'acme.account-key-taken': { kind: 'conflict', rule: 'an account key belongs to one account' },
  'acme.contact-unsupported': { kind: 'invalid', rule: 'a contact is a mailto: address without header fields' },
  'acme.contact-invalid': { kind: 'invalid', rule: 'a contact must be one address' },
  'acme.binding-required': {
    kind: 'forbidden',
    rule: 'a new account needs an external account binding (RFC 8555 section 7.3.4)',
    remedy: 'have an operator create an authorisation: its id is the kid, its secret the HMAC key',
  },
  'acme.binding-refused': {
    kind: 'forbidden',
    rule: 'the external account binding must be a MAC over the account key for this URL with the key of its kid',
  },
  'acme.identifier-unsupported': {
    kind: 'invalid',
    rule: 'an identifier is of the type dns, ip or permanent-identifier',
  },
  'acme.identifier-rejected': {
    kind: 'forbidden',
    rule: "each identifier must be one that the account's authorisation allows",
  },
  'acme.validity-unsupported': { kind: 'invalid', rule: 'how long a certificate lives is for the policy to say' },
  'acme.order-not-ready': {
    kind: 'forbidden',
    rule: 'an order is finalised once all of its authorizations are valid (RFC 8555 section 7.4)',
  },
  'acme.state': { kind: 'invalid', rule: 'the resource must be in a state that allows this (RFC 8555 section 7.1.6)' },
  'acme.csr-differs': {
    kind: 'invalid',
    rule: 'the request names exactly the identifiers of its order, and an attested key when it was attested',
  },
  'acme.already-revoked': { kind: 'invalid', rule: 'a certificate is revoked once' },
  'acme.bad-revocation-reason': {
    kind: 'invalid',
    rule: 'a certificate is revoked as unspecified (0), keyCompromise (1), affiliationChanged (3), superseded (4) or cessationOfOperation (5)',
  },
  'acme.revocation-forbidden': {
    kind: 'forbidden',
    rule: 'a certificate is revoked by the account that has it, one that controls all its names, or its own key',
  },
  'acme.already-replaced': { kind: 'conflict', rule: 'a certificate is replaced by one order (RFC 9773 section 5)' },
  'acme.attestation-refused': {
    kind: 'invalid',
    rule: 'the attestation must show the device of the order, for this challenge and account',
  },
  'acme.rate-limited': { kind: 'too-many', rule: 'an account or address asks only so often' },
  'acme.network-forbidden': {
    kind: 'forbidden',
    rule: 'a challenge is validated only at addresses that the configuration allows (acme.allowedNetworks)',
  },
  'acme.connection': { kind: 'invalid', rule: 'the server must be able to connect to the host of the identifier' },
  'acme.dns': { kind: 'invalid', rule: 'the name must resolve' },
  'acme.tls': { kind: 'invalid', rule: 'the TLS handshake of the challenge must succeed (RFC 8737)' },
  'acme.response-incorrect': { kind: 'invalid', rule: 'the answer must be the one that the challenge asks for' },
  'acme.expired': { kind: 'invalid', rule: 'what was not finished in its time is over' },
} as const satisfies Record<string, ErrorEntry>;
