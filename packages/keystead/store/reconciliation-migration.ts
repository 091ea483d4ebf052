import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();

/** What travels between factory nodes and headquarters: sent, taken, and in quarantine. */
export function reconciliation({
  builder: { schema },
  types: { text, integer, bytes },
  tableEnd,
}: Dialect): Compilable<unknown>[] {
  return [
    schema
      .createTable('consignment')
      .addColumn('factory', text, required)
      .addColumn('number', integer, required)
      .addColumn('sha256', bytes, required)
      .addColumn('document', text, required)
      .addColumn('receipt', text, required)
      .addColumn('taken_at', integer, required)
      .addPrimaryKeyConstraint('consignment_key', ['factory', 'sha256'])
      .modifyEnd(tableEnd),
    schema
      .createTable('quarantined_unit')
      .addColumn('factory', text, required)
      .addColumn('serial', bytes, required)
      .addColumn('device_id', text, required)
      .addColumn('spki_sha256', bytes, required)
      .addColumn('ticket_id', text, required)
      .addColumn('unit', text, required)
      .addColumn('conflicts', text, required)
      .addColumn('certificate', bytes)
      .addColumn('record', text)
      .addColumn('signature', bytes)
      .addColumn('ticket', text)
      .addColumn('state', text, required)
      .addColumn('found_at', integer, required)
      .addColumn('changed_at', integer, required)
      .addPrimaryKeyConstraint('quarantined_unit_key', ['factory', 'serial'])
      .addCheckConstraint('quarantined_unit_state', sql`state in ('open', 'released', 'rejected')`)
      .modifyEnd(tableEnd),
    schema.createIndex('quarantined_unit_of_device').on('quarantined_unit').columns(['device_id', 'state']),
    schema
      .createTable('outbox')
      .addColumn('number', integer, (column) => column.notNull().primaryKey())
      .addColumn('sha256', bytes, required)
      .addColumn('document', text, required)
      .addColumn('units', integer, required)
      .addColumn('made_at', integer, required)
      .addColumn('receipt', text)
      .addColumn('settled_at', integer)
      .modifyEnd(tableEnd),
    schema.createIndex('outbox_waiting').on('outbox').column('number').where(sql<boolean>`receipt is null`),
  ];
}
