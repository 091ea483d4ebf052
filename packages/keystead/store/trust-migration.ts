import type { ColumnDefinitionBuilder, Compilable } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();

/** REQ-KEY-REV-04: the trust bundles that are published, and what each device says that it goes by. */
export function trustBundles({ builder: { schema }, types: { text, integer, bytes }, tableEnd }: Dialect) {
  const statements: Compilable<unknown>[] = [
    schema
      .createTable('trust_bundle')
      .addColumn('version', integer, key)
      .addColumn('fleet', text, required)
      .addColumn('sha256', bytes, required)
      .addColumn('issued_at', integer, required)
      .addColumn('expires_at', integer, required)
      .addColumn('filter_sha256', bytes)
      .addColumn('signer', bytes, required)
      .addColumn('change', integer, required)
      .addColumn('signers_changed', integer, required)
      .addColumn('published_at', integer, required)
      .modifyEnd(tableEnd),
    schema
      .createTable('uptake')
      .addColumn('device_id', text, (column) => key(column).references('device.device_id'))
      .addColumn('bundle_version', integer)
      .addColumn('bundle_sha256', bytes)
      .addColumn('filter_sha256', bytes)
      .addColumn('firmware_product', text)
      .addColumn('firmware_version', text)
      .addColumn('security_counter', integer)
      .addColumn('reported_at', integer, required)
      .modifyEnd(tableEnd),
    // Who is how far: campaigns ask for it by version.
    schema.createIndex('uptake_bundle').on('uptake').columns(['bundle_version', 'device_id']),
  ];
  return statements;
}
