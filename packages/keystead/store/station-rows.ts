import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';
import type { StationResultTable, StationSignOnTable } from './station-schema.ts';

/** Times are milliseconds since 1970. */
export interface StationSignOnRow {
  /** Hex. */
  readonly sha256: string;
  readonly station: string;
  readonly operator: string;
  readonly line: string;
  readonly text: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly signedOnAt: number;
  readonly endedAt: number | null;
  readonly endedBy: string | null;
}
export const signOnSelection = ({ hex }: Dialect) =>
  [
    hex<string>('sha256').as('sha256'),
    'station',
    'operator',
    'line',
    'text',
    'not_before as notBefore',
    'not_after as notAfter',
    'signed_on_at as signedOnAt',
    'ended_at as endedAt',
    'ended_by as endedBy',
  ] as const;
export const signOnColumns = (row: StationSignOnRow): Insertable<StationSignOnTable> => ({
  sha256: bytesOf(row.sha256),
  station: row.station,
  operator: row.operator,
  line: row.line,
  text: row.text,
  not_before: row.notBefore,
  not_after: row.notAfter,
  signed_on_at: row.signedOnAt,
  ended_at: row.endedAt,
  ended_by: row.endedBy,
});

export interface StationResultRow {
  readonly requestId: string;
  readonly station: string;
  readonly at: number;
  readonly deviceId: string;
  /** 1 for a pass, 0 for a fail. */
  readonly passed: number;
  readonly code: number;
  readonly signOnSha256: string | null;
}
export const resultSelection = ({ hex }: Dialect) =>
  [
    'request_id as requestId',
    'station',
    'at',
    'device_id as deviceId',
    'passed',
    'code',
    hex<string | null>('sign_on_sha256').as('signOnSha256'),
  ] as const;
export const resultColumns = (row: StationResultRow): Insertable<StationResultTable> => ({
  request_id: row.requestId,
  station: row.station,
  at: row.at,
  device_id: row.deviceId,
  passed: row.passed,
  code: row.code,
  sign_on_sha256: bytesOf(row.signOnSha256),
});
