import type { Serial } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';
import type { RevocationActState, RevocationActTable } from './revocation-schema.ts';

/* The rows of acts of revocation, as rows.ts has those of the rest. */

export interface RevocationActRow {
  readonly id: string;
  readonly act: string;
  readonly selector: string;
  readonly reason: string | null;
  readonly invalidityAt: number | null;
  readonly actor: string;
  readonly requestId: string;
  readonly state: RevocationActState;
  readonly count: number;
  /** Hex. */
  readonly listSha256: string;
  readonly statements: string;
  readonly expiresAt: number | null;
  readonly cursor: string;
  readonly certificates: number;
  readonly devices: number;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
}
export const actSelection = ({ hex }: Dialect) =>
  [
    'id',
    'act',
    'selector',
    'reason',
    'invalidity_at as invalidityAt',
    'actor',
    'request_id as requestId',
    'state',
    'count',
    hex<string>('list_sha256').as('listSha256'),
    'statements',
    'expires_at as expiresAt',
    'cursor',
    'certificates',
    'devices',
    'created_at as createdAt',
    'started_at as startedAt',
    'finished_at as finishedAt',
  ] as const;
export const actColumns = (row: RevocationActRow): Insertable<RevocationActTable> => ({
  id: row.id,
  act: row.act,
  selector: row.selector,
  reason: row.reason,
  invalidity_at: row.invalidityAt,
  actor: row.actor,
  request_id: row.requestId,
  state: row.state,
  count: row.count,
  list_sha256: bytesOf(row.listSha256),
  statements: row.statements,
  expires_at: row.expiresAt,
  cursor: row.cursor,
  certificates: row.certificates,
  devices: row.devices,
  created_at: row.createdAt,
  started_at: row.startedAt,
  finished_at: row.finishedAt,
});

/** As much of a certificate as it takes to revoke it. */
export interface RevocableRow {
  readonly issuer: IssuerName;
  readonly serial: Serial;
  readonly deviceId: string | null;
}
