import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import type { Insertable } from 'kysely';
import type * as table from './acme-schema.ts';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';

/* The rows of ACME's records, as rows.ts has those of the rest. Times are milliseconds since 1970. */

export interface AcmeAccountRow {
  readonly id: string;
  readonly thumbprint: string;
  readonly jwk: string;
  readonly state: table.AcmeAccountState;
  readonly contact: string;
  readonly authorisationId: string;
  readonly binding: string;
  readonly createdAt: number;
  readonly changedAt: number;
}
export const ACME_ACCOUNT = [
  'id',
  'thumbprint',
  'jwk',
  'state',
  'contact',
  'authorisation_id as authorisationId',
  'binding',
  'created_at as createdAt',
  'changed_at as changedAt',
] as const;
export const acmeAccountColumns = (row: AcmeAccountRow): Insertable<table.AcmeAccountTable> => ({
  id: row.id,
  thumbprint: row.thumbprint,
  jwk: row.jwk,
  state: row.state,
  contact: row.contact,
  authorisation_id: row.authorisationId,
  binding: row.binding,
  created_at: row.createdAt,
  changed_at: row.changedAt,
});

export interface AcmeOrderRow {
  readonly id: string;
  readonly accountId: string;
  readonly state: table.AcmeOrderState;
  readonly identifiers: string;
  readonly expiresAt: number;
  readonly createdAt: number;
  readonly replacesIssuer: IssuerName | null;
  readonly replacesSerial: Serial | null;
  readonly csr: Uint8Array | null;
  readonly error: string | null;
  readonly issuer: IssuerName | null;
  readonly serial: Serial | null;
}
export const acmeOrderSelection = ({ hex }: Dialect) =>
  [
    'id',
    'account_id as accountId',
    'state',
    'identifiers',
    'expires_at as expiresAt',
    'created_at as createdAt',
    'replaces_issuer as replacesIssuer',
    hex<Serial | null>('replaces_serial').as('replacesSerial'),
    'csr',
    'error',
    'issuer',
    hex<Serial | null>('serial').as('serial'),
  ] as const;
export const acmeOrderColumns = (row: AcmeOrderRow): Insertable<table.AcmeOrderTable> => ({
  id: row.id,
  account_id: row.accountId,
  state: row.state,
  identifiers: row.identifiers,
  expires_at: row.expiresAt,
  created_at: row.createdAt,
  replaces_issuer: row.replacesIssuer,
  replaces_serial: bytesOf(row.replacesSerial),
  csr: row.csr,
  error: row.error,
  issuer: row.issuer,
  serial: bytesOf(row.serial),
});

export interface AcmeAuthorizationRow {
  readonly id: string;
  readonly orderId: string;
  readonly accountId: string;
  readonly type: table.AcmeIdentifierType;
  readonly value: string;
  /** 1 for a wildcard. */
  readonly wildcard: number;
  readonly state: table.AcmeAuthorizationState;
  readonly expiresAt: number;
  readonly attestedSpki: SpkiSha256 | null;
}
export const acmeAuthorizationSelection = ({ hex }: Dialect) =>
  [
    'id',
    'order_id as orderId',
    'account_id as accountId',
    'type',
    'value',
    'wildcard',
    'state',
    'expires_at as expiresAt',
    hex<SpkiSha256 | null>('attested_spki').as('attestedSpki'),
  ] as const;
export const acmeAuthorizationColumns = (row: AcmeAuthorizationRow): Insertable<table.AcmeAuthorizationTable> => ({
  id: row.id,
  order_id: row.orderId,
  account_id: row.accountId,
  type: row.type,
  value: row.value,
  wildcard: row.wildcard,
  state: row.state,
  expires_at: row.expiresAt,
  attested_spki: bytesOf(row.attestedSpki),
});

export interface AcmeChallengeRow {
  readonly id: string;
  readonly authorizationId: string;
  readonly type: table.AcmeChallengeType;
  readonly token: string;
  readonly state: table.AcmeChallengeState;
  readonly keyAuthorization: string | null;
  readonly attempts: number;
  readonly nextAttemptAt: number | null;
  readonly validatedAt: number | null;
  readonly error: string | null;
}
export const ACME_CHALLENGE = [
  'id',
  'authorization_id as authorizationId',
  'type',
  'token',
  'state',
  'key_authorization as keyAuthorization',
  'attempts',
  'next_attempt_at as nextAttemptAt',
  'validated_at as validatedAt',
  'error',
] as const;
export const acmeChallengeColumns = (row: AcmeChallengeRow): Insertable<table.AcmeChallengeTable> => ({
  id: row.id,
  authorization_id: row.authorizationId,
  type: row.type,
  token: row.token,
  state: row.state,
  key_authorization: row.keyAuthorization,
  attempts: row.attempts,
  next_attempt_at: row.nextAttemptAt,
  validated_at: row.validatedAt,
  error: row.error,
});
