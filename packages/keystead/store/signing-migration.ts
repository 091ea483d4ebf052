import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();
const STATES = sql`state in ('draft', 'waiting', 'approved', 'signed', 'refused', 'expired', 'withdrawn')`;
const OPEN = sql<boolean>`state in ('draft', 'waiting', 'approved')`;

/** REQ-KEY-SOD-02: requests for firmware signatures, with what people have signed of each. */
export function signingRequests({ builder: { schema }, types: { text, integer, bytes }, tableEnd }: Dialect) {
  const statements: Compilable<unknown>[] = [
    schema
      .createTable('signing_request')
      .addColumn('id', text, key)
      .addColumn('state', text, required)
      .addColumn('order_text', text, required)
      .addColumn('order_sha256', bytes, required)
      .addColumn('product', text, required)
      .addColumn('environment', text, required)
      .addColumn('target', text, required)
      .addColumn('version', text, required)
      .addColumn('format', text, required)
      .addColumn('image_sha256', bytes, required)
      .addColumn('subject_sha256', bytes, required)
      .addColumn('reading', text, required)
      .addColumn('statements', text, required)
      .addColumn('actor', text, required)
      .addColumn('request_id', text, required)
      .addColumn('expires_at', integer)
      .addColumn('refusal', text)
      .addColumn('result_sha256', bytes)
      .addColumn('result_bytes', integer)
      .addColumn('created_at', integer, required)
      .addColumn('changed_at', integer, required)
      .addCheckConstraint('signing_request_state', STATES)
      .addCheckConstraint('signing_request_result', sql`(state = 'signed') = (result_sha256 is not null)`)
      .addCheckConstraint('signing_request_refusal', sql`(state = 'refused') = (refusal is not null)`)
      .modifyEnd(tableEnd),
    schema.createIndex('signing_request_time').on('signing_request').columns(['created_at', 'id']),
    schema.createIndex('signing_request_open').on('signing_request').columns(['state', 'created_at']).where(OPEN),
    // Anti-rollback and "two requests for one version" are looked up by these.
    schema
      .createIndex('signing_request_version')
      .on('signing_request')
      .columns(['product', 'environment', 'target', 'version']),
  ];
  return statements;
}
