import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const TRANSACTION_STATES = sql`state in ('waiting', 'issued', 'confirmed', 'rejected', 'lapsed')`;

/** Enrolments of several messages: those that wait for an operator, and those that wait for their confirmation. */
export function enrolmentTransactions({
  builder: { schema },
  types: { text, integer, bytes },
  tableEnd,
}: Dialect): Compilable<unknown>[] {
  return [
    schema
      .createTable('enrolment_transaction')
      .addColumn('id', bytes, (column) => column.notNull().primaryKey())
      .addColumn('requester', text, required)
      .addColumn('kind', text, required)
      .addColumn('cert_req_id', integer, required)
      .addColumn('format', text, required)
      .addColumn('request', bytes, required)
      .addColumn('request_sha256', bytes, required)
      .addColumn('state', text, required)
      .addColumn('issuer', text)
      .addColumn('serial', bytes)
      .addColumn('nonce', bytes, required)
      .addColumn('previous_nonce', bytes)
      .addColumn('confirm_until', integer)
      .addColumn('changed_at', integer, required)
      .addCheckConstraint('enrolment_transaction_state', TRANSACTION_STATES)
      .modifyEnd(tableEnd),
    schema
      .createIndex('enrolment_transaction_of_certificate')
      .on('enrolment_transaction')
      .columns(['serial', 'issuer'])
      .where('serial', 'is not', null),
    schema
      .createIndex('enrolment_transaction_due')
      .on('enrolment_transaction')
      .column('confirm_until')
      .where(sql<boolean>`state = 'issued'`),
    schema
      .createIndex('enrolment_transaction_of_requester')
      .on('enrolment_transaction')
      .columns(['requester', 'state']),
    schema.createIndex('enrolment_transaction_age').on('enrolment_transaction').columns(['state', 'changed_at']),
  ];
}
