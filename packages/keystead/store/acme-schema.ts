import type { IssuerName } from '@keystead/core/lifecycle';

/** Where an account stands (RFC 8555 section 7.1.6): `deactivated` by its holder, `revoked` by an operator. */
export type AcmeAccountState = 'valid' | 'deactivated' | 'revoked';
export type AcmeOrderState = 'pending' | 'ready' | 'processing' | 'valid' | 'invalid';
/** `expired` is not written down: it comes by itself. */
export type AcmeAuthorizationState = 'pending' | 'valid' | 'invalid' | 'deactivated';
export type AcmeChallengeState = 'pending' | 'processing' | 'valid' | 'invalid';
export type AcmeChallengeType = 'http-01' | 'dns-01' | 'tls-alpn-01' | 'device-attest-01';
export type AcmeIdentifierType = 'dns' | 'ip' | 'permanent-identifier';

export interface AcmeAccountTable {
  id: string;
  /** RFC 7638 thumbprint of the key, base64url. */
  thumbprint: string;
  /** The public key, JSON of its required members. */
  jwk: string;
  state: AcmeAccountState;
  /** JSON list of mailto: addresses. */
  contact: string;
  /** The enrolment authorisation that its external account binding named. */
  authorisation_id: string;
  /** The binding as it came, JSON. */
  binding: string;
  created_at: number;
  changed_at: number;
}

export interface AcmeOrderTable {
  id: string;
  account_id: string;
  state: AcmeOrderState;
  /** JSON list of {type, value} as the order named them. */
  identifiers: string;
  /** When it is over unless it was finished, ms. */
  expires_at: number;
  created_at: number;
  /** The certificate that this order's one follows (RFC 9773 section 5): issuer and serial. */
  replaces_issuer: IssuerName | null;
  replaces_serial: Uint8Array | null;
  /** The request that it was finalised with. */
  csr: Uint8Array | null;
  /** Why it is invalid: a problem document, JSON. */
  error: string | null;
  issuer: IssuerName | null;
  serial: Uint8Array | null;
}

export interface AcmeAuthorizationTable {
  id: string;
  order_id: string;
  account_id: string;
  type: AcmeIdentifierType;
  /** Without the `*.` of a wildcard. */
  value: string;
  wildcard: number;
  state: AcmeAuthorizationState;
  expires_at: number;
  /** SHA-256 of the one key that a device attested; null where none was. */
  attested_spki: Uint8Array | null;
}

export interface AcmeChallengeTable {
  id: string;
  authorization_id: string;
  type: AcmeChallengeType;
  token: string;
  state: AcmeChallengeState;
  /** Key authorization as the account stood when it answered (RFC 8555 section 8.1); null before. */
  key_authorization: string | null;
  /** How often it was tried. */
  attempts: number;
  /** When it is tried next, ms; null when it is not. */
  next_attempt_at: number | null;
  validated_at: number | null;
  /** What the last try found wrong: a problem document, JSON. */
  error: string | null;
}
