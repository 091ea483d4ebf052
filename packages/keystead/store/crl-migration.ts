import type { ColumnDefinitionBuilder, Compilable } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();

/**
 * REQ-KEY-REV-01: several CRLs of one issuer, and what is known of the newest of each. Their bytes are files: a list of a
 * million entries is no value of a column. What was in `crl` is published anew at the next start.
 */
export function crlLists({ builder, types: { text, integer, bytes }, tableEnd }: Dialect): Compilable<unknown>[] {
  const { schema } = builder;
  return [
    schema.dropTable('crl'),
    schema
      .createTable('crl_list')
      .addColumn('list', text, key)
      .addColumn('issuer', text, required)
      .addColumn('number', integer, required)
      .addColumn('made_at', integer, required)
      .addColumn('next_update', integer, required)
      .addColumn('bytes', integer, required)
      .addColumn('sha256', bytes, required)
      .modifyEnd(tableEnd),
  ];
}
