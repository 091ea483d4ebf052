import { type ColumnDefinitionBuilder, type Compilable, sql } from 'kysely';
import { acmeRecords } from './acme-migration.ts';
import { deviceKeyOrigin } from './attestation-migration.ts';
import { enrolmentAuthorisations } from './authorisation-migration.ts';
import { crlLists } from './crl-migration.ts';
import type { Dialect } from './dialect.ts';
import { keyInventory } from './key-migration.ts';
import { deviceKeyWays } from './key-way-migration.ts';
import { livingCertificates } from './living-migration.ts';
import { reconciliation } from './reconciliation-migration.ts';
import { recordIndexes } from './record-migration.ts';
import { revocationActs } from './revocation-migration.ts';
import { rotationCounts } from './rotation-count-migration.ts';
import { rotationCampaigns } from './rotation-migration.ts';
import { signingRequests } from './signing-migration.ts';
import { stations } from './station-migration.ts';
import { enrolmentTransactions } from './transaction-migration.ts';
import { trustBundles } from './trust-migration.ts';

/** One step of the schema. A step that was released is never edited: the next one changes what it did. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  statements(dialect: Dialect): Compilable<unknown>[];
}

const required = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull();
const key = (column: ColumnDefinitionBuilder): ColumnDefinitionBuilder => column.notNull().primaryKey();
const CERTIFICATE_STATES = sql`status in ('good', 'revoked', 'hold')`;
const DEVICE_STATES = sql`state in ('provisioned', 'enrolled', 'stolen', 'decommissioned')`;

export const MIGRATIONS: readonly Migration[] = [
  { version: 1, name: 'certificates, devices, batches, audit', statements: firstSchema },
  { version: 2, name: 'the key inventory', statements: keyInventory },
  { version: 3, name: 'enrolment authorisations', statements: enrolmentAuthorisations },
  { version: 4, name: 'accounts and orders of ACME', statements: acmeRecords },
  { version: 5, name: 'acts of revocation', statements: revocationActs },
  { version: 6, name: 'how it is known where the key of a device is', statements: deviceKeyOrigin },
  { version: 8, name: 'enrolments of several messages', statements: enrolmentTransactions },
  { version: 9, name: 'the lists of revocations', statements: crlLists },
  { version: 12, name: 'reconciliation of factory nodes', statements: reconciliation },
  { version: 13, name: 'stations at the line', statements: stations },
  { version: 14, name: 'records by batch and by date', statements: recordIndexes },
  { version: 15, name: 'further ways to the key of a device', statements: deviceKeyWays },
  { version: 17, name: 'requests for firmware signatures', statements: signingRequests },
  { version: 18, name: 'trust bundles, and what devices go by', statements: trustBundles },
  { version: 19, name: 'rotation campaigns', statements: rotationCampaigns },
  { version: 20, name: 'how far rotation campaigns are', statements: rotationCounts },
  { version: 21, name: 'certificates that have not ended', statements: livingCertificates },
];

function firstSchema({
  builder,
  types: { text, integer, bytes },
  tableEnd,
  keyedTableEnd,
}: Dialect): Compilable<unknown>[] {
  const { schema } = builder;
  return [
    // REQ-KEY-PROV-03: the primary key is what makes a key belong to one owner for all time.
    schema
      .createTable('spki_history')
      .addColumn('spki_sha256', bytes, key)
      .addColumn('owner', text, required)
      .addColumn('issuer', text)
      .addColumn('serial', bytes)
      .addColumn('first_seen', integer, required)
      .modifyEnd(keyedTableEnd),
    schema
      .createTable('ticket')
      .addColumn('ticket_id', text, key)
      .addColumn('text', text, required)
      .addColumn('signer', text, required)
      .addColumn('model', text, required)
      .addColumn('quota', integer, required)
      .addColumn('not_before', integer, required)
      .addColumn('not_after', integer, required)
      .addColumn('opened_by', text, required)
      .addColumn('opened_at', integer, required)
      .modifyEnd(tableEnd),
    schema
      .createTable('device')
      .addColumn('device_id', text, key)
      .addColumn('state', text, required)
      .addColumn('model', text, required)
      .addColumn('ticket_id', text, (column) => column.notNull().references('ticket.ticket_id'))
      .addColumn('idevid_serial', bytes, required)
      .addColumn('readmitted_at', integer)
      .addColumn('created_at', integer, required)
      .addColumn('changed_at', integer, required)
      .addCheckConstraint('device_state', DEVICE_STATES)
      .modifyEnd(tableEnd),
    schema
      .createTable('certificate')
      .addColumn('issuer', text, required)
      .addColumn('serial', bytes, required)
      .addColumn('profile', text, required)
      .addColumn('subject', text, required)
      .addColumn('device_id', text, (column) => column.references('device.device_id'))
      .addColumn('operator', text)
      .addColumn('spki_sha256', bytes, (column) => column.notNull().references('spki_history.spki_sha256'))
      .addColumn('not_before', integer, required)
      .addColumn('not_after', integer, required)
      .addColumn('der', bytes, required)
      .addColumn('cert_sha256', bytes, required)
      .addColumn('status', text, required)
      .addColumn('revoked_at', integer)
      .addColumn('reason', text)
      .addColumn('request_id', text, required)
      .addColumn('csr_sha256', bytes, required)
      .addColumn('issued_at', integer, required)
      .addPrimaryKeyConstraint('certificate_key', ['serial', 'issuer'])
      .addCheckConstraint('certificate_status', CERTIFICATE_STATES)
      .addCheckConstraint('certificate_revocation', sql`(status = 'good') = (revoked_at is null)`)
      .modifyEnd(tableEnd),
    schema
      .createIndex('certificate_of_device')
      .on('certificate')
      .columns(['device_id', 'issued_at'])
      .where('device_id', 'is not', null),
    schema
      .createIndex('certificate_revoked')
      .on('certificate')
      .columns(['issuer', 'revoked_at'])
      .where(sql<boolean>`status <> 'good'`),
    schema
      .createTable('journal_certificate')
      .addColumn('issuer', text, required)
      .addColumn('serial', bytes, required)
      .addColumn('profile', text, required)
      .addColumn('subject', text, required)
      .addColumn('spki_sha256', bytes, required)
      .addColumn('not_after', integer, required)
      .addColumn('request_id', text, required)
      .addColumn('signed_at', integer, required)
      .addColumn('fate', text, required)
      .addColumn('found_at', integer, required)
      .addPrimaryKeyConstraint('journal_certificate_key', ['issuer', 'serial'])
      .addCheckConstraint('journal_certificate_fate', sql`fate in ('abandoned', 'own')`)
      .modifyEnd(tableEnd),
    schema
      .createTable('provisioning_record')
      .addColumn('device_id', text, (column) => key(column).references('device.device_id'))
      .addColumn('ticket_id', text, (column) => column.notNull().references('ticket.ticket_id'))
      .addColumn('issuer', text, required)
      .addColumn('serial', bytes, required)
      .addColumn('record', text, required)
      .addColumn('signature', bytes, required)
      .addColumn('audit_seq', integer, required)
      .addColumn('created_at', integer, required)
      .addColumn('exported_at', integer)
      .modifyEnd(tableEnd),
    schema
      .createIndex('provisioning_record_unexported')
      .on('provisioning_record')
      .column('device_id')
      .where(sql<boolean>`exported_at is null`),
    schema
      .createTable('evidence')
      .addColumn('device_id', text, (column) => key(column).references('device.device_id'))
      .addColumn('document', text, required)
      .addColumn('signature', bytes, required)
      .addColumn('audit_seq', integer, required)
      .addColumn('created_at', integer, required)
      .addColumn('exported_at', integer)
      .modifyEnd(tableEnd),
    schema
      .createTable('audit_entry')
      .addColumn('seq', integer, key)
      .addColumn('time', integer, required)
      .addColumn('leaf_hash', bytes, required)
      .addColumn('bytes', bytes, required)
      .modifyEnd(tableEnd),
    schema
      .createTable('crl')
      .addColumn('issuer', text, required)
      .addColumn('number', integer, required)
      .addColumn('made_at', integer, required)
      .addColumn('der', bytes, required)
      .addPrimaryKeyConstraint('crl_key', ['issuer', 'number'])
      .modifyEnd(tableEnd),
    schema.createTable('meta').addColumn('key', text, key).addColumn('value', text, required).modifyEnd(keyedTableEnd),
  ];
}
