import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';
import type { ConsignmentTable, OutboxTable, QuarantinedUnitTable, QuarantineState } from './reconciliation-schema.ts';

export interface ConsignmentRow {
  readonly factory: string;
  readonly number: number;
  /** Hex. */
  readonly sha256: string;
  readonly document: string;
  readonly receipt: string;
  readonly takenAt: number;
}

export interface QuarantinedRow {
  readonly factory: string;
  readonly serial: Serial;
  readonly deviceId: string;
  readonly spkiSha256: SpkiSha256;
  readonly ticketId: string;
  readonly unit: string;
  readonly conflicts: string;
  readonly certificate: Uint8Array | null;
  readonly record: string | null;
  readonly signature: Uint8Array | null;
  readonly ticket: string | null;
  readonly state: QuarantineState;
  readonly foundAt: number;
  readonly changedAt: number;
}

export interface OutboxRow {
  readonly number: number;
  /** Hex. */
  readonly sha256: string;
  readonly document: string;
  readonly units: number;
  readonly madeAt: number;
  readonly receipt: string | null;
  readonly settledAt: number | null;
}

export const consignmentColumns = (row: ConsignmentRow): Insertable<ConsignmentTable> => ({
  factory: row.factory,
  number: row.number,
  sha256: bytesOf(row.sha256),
  document: row.document,
  receipt: row.receipt,
  taken_at: row.takenAt,
});

export const quarantinedSelection = ({ hex }: Dialect) =>
  [
    'factory',
    hex<Serial>('serial').as('serial'),
    'device_id as deviceId',
    hex<SpkiSha256>('spki_sha256').as('spkiSha256'),
    'ticket_id as ticketId',
    'unit',
    'conflicts',
    'certificate',
    'record',
    'signature',
    'ticket',
    'state',
    'found_at as foundAt',
    'changed_at as changedAt',
  ] as const;

export const quarantinedColumns = (row: QuarantinedRow): Insertable<QuarantinedUnitTable> => ({
  factory: row.factory,
  serial: bytesOf(row.serial),
  device_id: row.deviceId,
  spki_sha256: bytesOf(row.spkiSha256),
  ticket_id: row.ticketId,
  unit: row.unit,
  conflicts: row.conflicts,
  certificate: row.certificate,
  record: row.record,
  signature: row.signature,
  ticket: row.ticket,
  state: row.state,
  found_at: row.foundAt,
  changed_at: row.changedAt,
});

export const outboxSelection = ({ hex }: Dialect) =>
  [
    'number',
    hex<string>('sha256').as('sha256'),
    'document',
    'units',
    'made_at as madeAt',
    'receipt',
    'settled_at as settledAt',
  ] as const;

export const outboxColumns = (row: OutboxRow): Insertable<OutboxTable> => ({
  number: row.number,
  sha256: bytesOf(row.sha256),
  document: row.document,
  units: row.units,
  made_at: row.madeAt,
  receipt: row.receipt,
  settled_at: row.settledAt,
});
