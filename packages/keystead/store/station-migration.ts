import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();

/** REQ-KEY-PROV-01: stations at the line, who is signed on at them, and what became of each unit that they brought. */
export function stations({ builder: { schema }, types: { text, integer, bytes }, tableEnd }: Dialect) {
  const statements: Compilable<unknown>[] = [
    schema
      .createTable('station_sign_on')
      .addColumn('sha256', bytes, key)
      .addColumn('station', text, required)
      .addColumn('operator', text, required)
      .addColumn('line', text, required)
      .addColumn('text', text, required)
      .addColumn('not_before', integer, required)
      .addColumn('not_after', integer, required)
      .addColumn('signed_on_at', integer, required)
      .addColumn('ended_at', integer)
      .addColumn('ended_by', text)
      .modifyEnd(tableEnd),
    schema
      .createIndex('station_sign_on_open')
      .on('station_sign_on')
      .columns(['station', 'not_after'])
      .where(sql<boolean>`ended_at is null`),
    schema
      .createTable('station_result')
      .addColumn('request_id', text, key)
      .addColumn('station', text, required)
      .addColumn('at', integer, required)
      .addColumn('device_id', text, required)
      .addColumn('passed', integer, required)
      .addColumn('code', integer, required)
      .addColumn('sign_on_sha256', bytes)
      .addCheckConstraint('station_result_passed', sql`passed in (0, 1)`)
      .modifyEnd(tableEnd),
    schema.createIndex('station_result_time').on('station_result').columns(['station', 'at']),
    schema.createIndex('station_result_device').on('station_result').columns(['device_id', 'at']),
  ];
  return statements;
}
