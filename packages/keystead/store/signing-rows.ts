import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';
import type { SigningRequestTable, SigningState } from './signing-schema.ts';

/** A request for a firmware signature. Hashes are hex, times milliseconds since 1970. */
export interface SigningRequestRow {
  readonly id: string;
  readonly state: SigningState;
  readonly order: string;
  readonly orderSha256: string;
  readonly product: string;
  readonly environment: string;
  readonly target: string;
  readonly version: string;
  readonly format: string;
  readonly imageSha256: string;
  readonly subjectSha256: string;
  readonly reading: string;
  readonly statements: string;
  readonly actor: string;
  readonly requestId: string;
  readonly expiresAt: number | null;
  readonly refusal: string | null;
  readonly resultSha256: string | null;
  readonly resultBytes: number | null;
  readonly createdAt: number;
  readonly changedAt: number;
}

export const signingSelection = ({ hex }: Dialect) =>
  [
    'id',
    'state',
    'order_text as order',
    hex<string>('order_sha256').as('orderSha256'),
    'product',
    'environment',
    'target',
    'version',
    'format',
    hex<string>('image_sha256').as('imageSha256'),
    hex<string>('subject_sha256').as('subjectSha256'),
    'reading',
    'statements',
    'actor',
    'request_id as requestId',
    'expires_at as expiresAt',
    'refusal',
    hex<string | null>('result_sha256').as('resultSha256'),
    'result_bytes as resultBytes',
    'created_at as createdAt',
    'changed_at as changedAt',
  ] as const;

export const signingColumns = (row: SigningRequestRow): Insertable<SigningRequestTable> => ({
  id: row.id,
  state: row.state,
  order_text: row.order,
  order_sha256: bytesOf(row.orderSha256),
  product: row.product,
  environment: row.environment,
  target: row.target,
  version: row.version,
  format: row.format,
  image_sha256: bytesOf(row.imageSha256),
  subject_sha256: bytesOf(row.subjectSha256),
  reading: row.reading,
  statements: row.statements,
  actor: row.actor,
  request_id: row.requestId,
  expires_at: row.expiresAt,
  refusal: row.refusal,
  result_sha256: bytesOf(row.resultSha256),
  result_bytes: row.resultBytes,
  created_at: row.createdAt,
  changed_at: row.changedAt,
});
