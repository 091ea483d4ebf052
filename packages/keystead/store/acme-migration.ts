import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import type { Dialect } from './dialect.ts';

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();
const ACCOUNT_STATES = sql`state in ('valid', 'deactivated', 'revoked')`;
const ORDER_STATES = sql`state in ('pending', 'ready', 'processing', 'valid', 'invalid')`;
const AUTHORIZATION_STATES = sql`state in ('pending', 'valid', 'invalid', 'deactivated')`;
const CHALLENGE_STATES = sql`state in ('pending', 'processing', 'valid', 'invalid')`;

/** Accounts, orders, authorizations and challenges of ACME (RFC 8555 section 7.1). */
export function acmeRecords({
  builder: { schema },
  types: { text, integer, bytes },
  tableEnd,
}: Dialect): Compilable<unknown>[] {
  return [
    schema
      .createTable('acme_account')
      .addColumn('id', text, key)
      .addColumn('thumbprint', text, (column) => column.notNull().unique())
      .addColumn('jwk', text, required)
      .addColumn('state', text, required)
      .addColumn('contact', text, required)
      .addColumn('authorisation_id', text, (column) => column.notNull().references('authorisation.id'))
      .addColumn('binding', text, required)
      .addColumn('created_at', integer, required)
      .addColumn('changed_at', integer, required)
      .addCheckConstraint('acme_account_state', ACCOUNT_STATES)
      .modifyEnd(tableEnd),
    schema
      .createTable('acme_order')
      .addColumn('id', text, key)
      .addColumn('account_id', text, (column) => column.notNull().references('acme_account.id'))
      .addColumn('state', text, required)
      .addColumn('identifiers', text, required)
      .addColumn('expires_at', integer, required)
      .addColumn('created_at', integer, required)
      .addColumn('replaces_issuer', text)
      .addColumn('replaces_serial', bytes)
      .addColumn('csr', bytes)
      .addColumn('error', text)
      .addColumn('issuer', text)
      .addColumn('serial', bytes)
      .addCheckConstraint('acme_order_state', ORDER_STATES)
      .addCheckConstraint('acme_order_certificate', sql`(state = 'valid') = (serial is not null)`)
      .modifyEnd(tableEnd),
    schema.createIndex('acme_order_of_account').on('acme_order').columns(['account_id', 'created_at', 'id']),
    schema.createIndex('acme_order_expiry').on('acme_order').columns(['expires_at']),
    schema
      .createIndex('acme_order_certificate')
      .on('acme_order')
      .columns(['serial', 'issuer'])
      .where(sql<boolean>`serial is not null`),
    schema
      .createIndex('acme_order_replaces')
      .on('acme_order')
      .columns(['replaces_serial', 'replaces_issuer'])
      .where(sql<boolean>`replaces_serial is not null`),
    schema
      .createIndex('acme_order_processing')
      .on('acme_order')
      .columns(['id'])
      .where(sql<boolean>`state = 'processing'`),
    schema
      .createTable('acme_authorization')
      .addColumn('id', text, key)
      .addColumn('order_id', text, (column) => column.notNull().references('acme_order.id'))
      .addColumn('account_id', text, (column) => column.notNull().references('acme_account.id'))
      .addColumn('type', text, required)
      .addColumn('value', text, required)
      .addColumn('wildcard', integer, required)
      .addColumn('state', text, required)
      .addColumn('expires_at', integer, required)
      .addColumn('attested_spki', bytes)
      .addCheckConstraint('acme_authorization_state', AUTHORIZATION_STATES)
      .modifyEnd(tableEnd),
    schema.createIndex('acme_authorization_of_order').on('acme_authorization').columns(['order_id']),
    schema
      .createIndex('acme_authorization_valid')
      .on('acme_authorization')
      .columns(['account_id', 'type', 'value'])
      .where(sql<boolean>`state = 'valid'`),
    schema
      .createTable('acme_challenge')
      .addColumn('id', text, key)
      .addColumn('authorization_id', text, (column) => column.notNull().references('acme_authorization.id'))
      .addColumn('type', text, required)
      .addColumn('token', text, required)
      .addColumn('state', text, required)
      .addColumn('key_authorization', text)
      .addColumn('attempts', integer, required)
      .addColumn('next_attempt_at', integer)
      .addColumn('validated_at', integer)
      .addColumn('error', text)
      .addCheckConstraint('acme_challenge_state', CHALLENGE_STATES)
      .modifyEnd(tableEnd),
    schema.createIndex('acme_challenge_of_authorization').on('acme_challenge').columns(['authorization_id']),
    schema
      .createIndex('acme_challenge_due')
      .on('acme_challenge')
      .columns(['next_attempt_at'])
      .where(sql<boolean>`next_attempt_at is not null`),
  ];
}
