import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();
const REQUEST_STATES = sql`state in ('waiting', 'approved', 'refused', 'issued')`;

/** Enrolment authorisations and the requests that wait for an operator. */
export function enrolmentAuthorisations({
  builder: { schema },
  types: { text, integer, bytes },
  tableEnd,
}: Dialect): Compilable<unknown>[] {
  return [
    schema
      .createTable('authorisation')
      .addColumn('id', text, key)
      .addColumn('document', text, required)
      .addColumn('signer', text, required)
      .addColumn('sealed_secret', bytes)
      .addColumn('not_after', integer, required)
      .addColumn('created_at', integer, required)
      .addColumn('withdrawn_at', integer)
      .modifyEnd(tableEnd),
    schema
      .createTable('enrolment_request')
      .addColumn('id', text, key)
      .addColumn('authorisation_id', text, (column) => column.notNull().references('authorisation.id'))
      .addColumn('csr_sha256', bytes, required)
      .addColumn('csr', bytes, required)
      .addColumn('subject', text, required)
      .addColumn('way', text, required)
      .addColumn('state', text, required)
      .addColumn('requested_at', integer, required)
      .addColumn('decided_at', integer)
      .addColumn('decided_by', text)
      .addColumn('approval_id', text, (column) => column.references('authorisation.id'))
      .addColumn('reason', text)
      .addCheckConstraint('enrolment_request_state', REQUEST_STATES)
      .addUniqueConstraint('enrolment_request_once', ['authorisation_id', 'csr_sha256'])
      .modifyEnd(tableEnd),
    schema
      .createIndex('enrolment_request_waiting')
      .on('enrolment_request')
      .columns(['authorisation_id', 'requested_at'])
      .where(sql<boolean>`state = 'waiting'`),
  ];
}
