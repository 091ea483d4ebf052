import type { Serial } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';

/**
 * Where an enrolment of several messages stands. It waits for an operator; or its certificate is `issued` and waits to be
 * confirmed; `rejected` by an operator or by its requester, or `lapsed` for want of a confirmation.
 */
export type TransactionState = 'waiting' | 'issued' | 'confirmed' | 'rejected' | 'lapsed';

export interface EnrolmentTransactionTable {
  /** As the requester chose it. */
  id: Uint8Array;
  /** Who began it; nobody else goes on with it. */
  requester: string;
  /** How it was asked, in the words of the protocol. */
  kind: string;
  cert_req_id: number;
  format: string;
  request: Uint8Array;
  request_sha256: Uint8Array;
  state: TransactionState;
  issuer: IssuerName | null;
  serial: Uint8Array | null;
  /** The nonce of our last answer, which the next message names, and of the one before, which may have been lost. */
  nonce: Uint8Array;
  previous_nonce: Uint8Array | null;
  /** When the certificate is revoked unless it was confirmed, milliseconds since 1970. */
  confirm_until: number | null;
  changed_at: number;
}

export interface EnrolmentTransactionRow {
  readonly id: Uint8Array;
  readonly requester: string;
  readonly kind: string;
  readonly certReqId: number;
  readonly format: string;
  /** PKCS#10 or CRMF, DER. */
  readonly request: Uint8Array;
  /** Hex. */
  readonly requestSha256: string;
  readonly state: TransactionState;
  readonly issuer: IssuerName | null;
  readonly serial: Serial | null;
  readonly nonce: Uint8Array;
  readonly previousNonce: Uint8Array | null;
  readonly confirmUntil: number | null;
  readonly changedAt: number;
}

export const transactionSelection = ({ hex }: Dialect) =>
  [
    'id',
    'requester',
    'kind',
    'cert_req_id as certReqId',
    'format',
    'request',
    hex<string>('request_sha256').as('requestSha256'),
    'state',
    'issuer',
    hex<Serial | null>('serial').as('serial'),
    'nonce',
    'previous_nonce as previousNonce',
    'confirm_until as confirmUntil',
    'changed_at as changedAt',
  ] as const;

export const transactionColumns = (row: EnrolmentTransactionRow): Insertable<EnrolmentTransactionTable> => ({
  id: row.id,
  requester: row.requester,
  kind: row.kind,
  cert_req_id: row.certReqId,
  format: row.format,
  request: row.request,
  request_sha256: bytesOf(row.requestSha256),
  state: row.state,
  issuer: row.issuer,
  serial: bytesOf(row.serial),
  nonce: row.nonce,
  previous_nonce: row.previousNonce,
  confirm_until: row.confirmUntil,
  changed_at: row.changedAt,
});
