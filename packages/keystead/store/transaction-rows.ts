import type { Serial } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';
import type { EnrolmentTransactionTable, TransactionState } from './transaction-schema.ts';

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
