import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();
const ACT_STATES = sql`state in ('proposed', 'running', 'done', 'withdrawn')`;

/** Acts of revocation that take several people or several transactions; keys that were reported compromised. */
export function revocationActs({
  builder: { schema },
  types: { text, integer, bytes },
  tableEnd,
}: Dialect): Compilable<unknown>[] {
  return [
    schema
      .createTable('revocation_act')
      .addColumn('id', text, key)
      .addColumn('act', text, required)
      .addColumn('selector', text, required)
      .addColumn('reason', text)
      .addColumn('invalidity_at', integer)
      .addColumn('actor', text, required)
      .addColumn('request_id', text, required)
      .addColumn('state', text, required)
      .addColumn('count', integer, required)
      .addColumn('list_sha256', bytes, required)
      .addColumn('statements', text, required)
      .addColumn('expires_at', integer)
      .addColumn('cursor', text, required)
      .addColumn('certificates', integer, required)
      .addColumn('devices', integer, required)
      .addColumn('created_at', integer, required)
      .addColumn('started_at', integer)
      .addColumn('finished_at', integer)
      .addCheckConstraint('revocation_act_state', ACT_STATES)
      .modifyEnd(tableEnd),
    schema
      .createIndex('revocation_act_open')
      .on('revocation_act')
      .columns(['state', 'created_at'])
      .where(sql<boolean>`state in ('proposed', 'running')`),
    schema.alterTable('certificate').addColumn('invalidity_at', integer),
    schema.alterTable('spki_history').addColumn('compromised_at', integer),
    // People and servers, whose certificates may share a key: few. A device's key has one certificate.
    schema
      .createIndex('certificate_of_key')
      .on('certificate')
      .column('spki_sha256')
      .where(sql<boolean>`device_id is null`),
  ];
}
