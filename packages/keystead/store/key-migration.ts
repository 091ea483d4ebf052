import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();
const KEY_STATES = sql`state in ('pre-activation', 'active', 'suspended', 'deactivated', 'compromised', 'destroyed')`;

/** REQ-KEY-POL-01: keys that have no certificate of their own in the records; docs/decisions/0015 says why only those. */
export function keyInventory({
  builder,
  types: { text, integer, bytes },
  tableEnd,
  keyedTableEnd,
}: Dialect): Compilable<unknown>[] {
  const { schema } = builder;
  return [
    schema
      .createTable('key')
      .addColumn('id', text, key)
      .addColumn('spki_sha256', bytes)
      .addColumn('purpose', text, required)
      .addColumn('algorithm', text, required)
      .addColumn('strength_bits', integer, required)
      .addColumn('custody', text, required)
      .addColumn('fips140', text, required)
      .addColumn('owner', text, required)
      .addColumn('state', text, required)
      .addColumn('generated_at', integer, required)
      .addColumn('activated_at', integer)
      .addColumn('suspended_at', integer)
      .addColumn('deactivated_at', integer)
      .addColumn('compromised_at', integer)
      .addColumn('destroyed_at', integer)
      .addColumn('certificate_end', integer)
      .addColumn('successor', text)
      .addColumn('evidence', text, required)
      .addCheckConstraint('key_state', KEY_STATES)
      .modifyEnd(tableEnd),
    schema
      .createIndex('key_spki')
      .on('key')
      .column('spki_sha256')
      .unique()
      .where(sql<boolean>`spki_sha256 is not null`),
    schema
      .createTable('key_event')
      .addColumn('key_id', text, (column) => column.notNull().references('key.id'))
      .addColumn('n', integer, required)
      .addColumn('event', text, required)
      .addColumn('from_state', text)
      .addColumn('to_state', text, required)
      .addColumn('at', integer, required)
      .addColumn('actor', text, required)
      .addColumn('reason', text, required)
      .addColumn('request_id', text, required)
      .addColumn('audit_seq', integer, required)
      .addPrimaryKeyConstraint('key_event_key', ['key_id', 'n'])
      .modifyEnd(keyedTableEnd),
    // People and servers: few beside the devices, whose certificates never touch this index.
    schema
      .createIndex('certificate_of_service')
      .on('certificate')
      .columns(['subject', 'issued_at', 'serial'])
      .where(sql<boolean>`device_id is null`),
    schema
      .createIndex('journal_certificate_signed')
      .on('journal_certificate')
      .columns(['issuer', 'signed_at', 'serial']),
    schema.createIndex('journal_certificate_spki').on('journal_certificate').column('spki_sha256'),
  ];
}
