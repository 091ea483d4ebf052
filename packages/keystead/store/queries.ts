import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import { sql } from 'kysely';
import { acmeQueries } from './acme-queries.ts';
import { authorisationQueries } from './authorisation-queries.ts';
import type { Dialect } from './dialect.ts';
import { keyQueries } from './key-queries.ts';
import { bytesOf, compileQuery } from './query.ts';
import { reconciliationQueries } from './reconciliation-queries.ts';
import { recordQueries } from './record-queries.ts';
import { revocationQueries } from './revocation-queries.ts';
import { rotationQueries } from './rotation-queries.ts';
import * as rows from './rows.ts';
import type { DeviceState } from './schema.ts';
import { signingQueries } from './signing-queries.ts';
import { stationQueries } from './station-queries.ts';
import { transactionQueries } from './transaction-queries.ts';
import { trustQueries } from './trust-queries.ts';

type Named = { issuer: IssuerName; serial: Serial };
type Page = { after: string; count: number };

/** Every query that the program makes, compiled for one dialect. */
export function compileQueries(dialect: Dialect) {
  const query = <A extends object>() => compileQuery<A>(dialect.builder);
  const certificate = rows.certificateSelection(dialect);
  const keyUse = rows.keyUseSelection(dialect);
  const journal = rows.journalSelection(dialect);
  const device = rows.deviceSelection(dialect);
  const record = rows.recordSelection(dialect);
  return {
    // ---- certificates
    insertCertificate: query<rows.Certificate>()((q, a) =>
      q.insertInto('certificate').values(rows.certificateColumns(a)),
    ),
    certificate: query<Named>()((q, a) =>
      q
        .selectFrom('certificate')
        .select(certificate)
        .where('serial', '=', bytesOf(a.serial))
        .where('issuer', '=', a.issuer),
    ),
    certificatesBySerial: query<{ serial: Serial }>()((q, a) =>
      q.selectFrom('certificate').select(certificate).where('serial', '=', bytesOf(a.serial)),
    ),
    certificatesOfDevice: query<{ deviceId: string }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select(certificate)
        .where('device_id', '=', a.deviceId)
        .orderBy('issued_at')
        .orderBy('serial'),
    ),
    statusOf: query<Named>()((q, a) =>
      q
        .selectFrom('certificate')
        .select(['status', 'revoked_at as revokedAt', 'reason'])
        .where('serial', '=', bytesOf(a.serial))
        .where('issuer', '=', a.issuer),
    ),
    setStatus: query<Named & Pick<rows.Certificate, 'status' | 'revokedAt' | 'reason' | 'invalidityAt'>>()((q, a) =>
      q
        .updateTable('certificate')
        .set({ status: a.status, revoked_at: a.revokedAt, reason: a.reason, invalidity_at: a.invalidityAt })
        .where('serial', '=', bytesOf(a.serial))
        .where('issuer', '=', a.issuer)
        .where('status', '<>', 'revoked'),
    ),
    revokedSince: query<{ issuer: IssuerName; since: number }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select([
          dialect.hex<Serial>('serial').as('serial'),
          'revoked_at as revokedAt',
          'reason',
          'not_after as notAfter',
        ])
        .where('issuer', '=', a.issuer)
        .where('status', '<>', sql<'good'>`'good'`)
        .where('revoked_at', '>=', a.since)
        .orderBy('revoked_at'),
    ),
    countCertificates: query<object>()((q) =>
      q.selectFrom('certificate').select((eb) => eb.fn.countAll<number>().as('count')),
    ),
    // ---- keys that were ever seen
    insertKeyUse: query<rows.KeyUse>()((q, a) => q.insertInto('spki_history').values(rows.keyUseColumns(a))),
    keyUse: query<{ spkiSha256: SpkiSha256 }>()((q, a) =>
      q.selectFrom('spki_history').select(keyUse).where('spki_sha256', '=', bytesOf(a.spkiSha256)),
    ),
    certifyKey: query<Named & { spkiSha256: SpkiSha256 }>()((q, a) =>
      q
        .updateTable('spki_history')
        .set({ issuer: a.issuer, serial: bytesOf(a.serial) })
        .where('spki_sha256', '=', bytesOf(a.spkiSha256)),
    ),
    // ---- in keyd's journal only
    insertJournalCertificate: query<rows.JournalCertificate>()((q, a) =>
      q.insertInto('journal_certificate').values(rows.journalColumns(a)),
    ),
    journalCertificate: query<Named>()((q, a) =>
      q
        .selectFrom('journal_certificate')
        .select(journal)
        .where('issuer', '=', a.issuer)
        .where('serial', '=', bytesOf(a.serial)),
    ),
    abandonedSince: query<{ issuer: IssuerName; since: number }>()((q, a) =>
      q
        .selectFrom('journal_certificate')
        .select(journal)
        .where('issuer', '=', a.issuer)
        .where('fate', '=', 'abandoned')
        .where('found_at', '>=', a.since)
        .orderBy('found_at'),
    ),
    // ---- devices
    insertDevice: query<rows.Device>()((q, a) => q.insertInto('device').values(rows.deviceColumns(a))),
    device: query<{ deviceId: string }>()((q, a) =>
      q.selectFrom('device').select(device).where('device_id', '=', a.deviceId),
    ),
    devices: query<Page>()((q, a) =>
      q.selectFrom('device').select(device).where('device_id', '>', a.after).orderBy('device_id').limit(a.count),
    ),
    setDeviceState: query<{ deviceId: string; state: DeviceState; changedAt: number }>()((q, a) =>
      q.updateTable('device').set({ state: a.state, changed_at: a.changedAt }).where('device_id', '=', a.deviceId),
    ),
    setReadmitted: query<{ deviceId: string; readmittedAt: number }>()((q, a) =>
      q.updateTable('device').set({ readmitted_at: a.readmittedAt }).where('device_id', '=', a.deviceId),
    ),
    lastOfDevice: query<{ deviceId: string; profile: string }>()((q, a) =>
      q
        .selectFrom('certificate')
        .select([dialect.hex<Serial>('serial').as('serial'), 'not_after as notAfter'])
        .where('device_id', '=', a.deviceId)
        .where('profile', '=', a.profile)
        .orderBy('issued_at', 'desc')
        .limit(1),
    ),
    // ---- batches and their records
    insertTicket: query<rows.Ticket>()((q, a) => q.insertInto('ticket').values(rows.ticketColumns(a))),
    signTicketAnew: query<Pick<rows.Ticket, 'ticketId' | 'text' | 'signer'>>()((q, a) =>
      q.updateTable('ticket').set({ text: a.text, signer: a.signer }).where('ticket_id', '=', a.ticketId),
    ),
    /** Those in force at a time, in the order of their ids. */
    ticketsInForce: query<{ at: number; after: string; count: number }>()((q, a) =>
      q
        .selectFrom('ticket')
        .select(rows.TICKET)
        .where('ticket_id', '>', a.after)
        .where('not_before', '<=', a.at)
        .where('not_after', '>', a.at)
        .orderBy('ticket_id')
        .limit(a.count),
    ),
    ticket: query<{ ticketId: string }>()((q, a) =>
      q.selectFrom('ticket').select(rows.TICKET).where('ticket_id', '=', a.ticketId),
    ),
    insertRecord: query<rows.ProvisioningRecord>()((q, a) =>
      q.insertInto('provisioning_record').values(rows.recordColumns(a)),
    ),
    record: query<{ deviceId: string }>()((q, a) =>
      q.selectFrom('provisioning_record').select(record).where('device_id', '=', a.deviceId),
    ),
    unexportedRecords: query<{ count: number }>()((q, a) =>
      q
        .selectFrom('provisioning_record')
        .select(record)
        .where('exported_at', 'is', null)
        .orderBy('device_id')
        .limit(a.count),
    ),
    /** Only the record that was written: another may have taken its place meanwhile, and is no file yet. */
    recordExported: query<{ deviceId: string; signature: Uint8Array; exportedAt: number }>()((q, a) =>
      q
        .updateTable('provisioning_record')
        .set({ exported_at: a.exportedAt })
        .where('device_id', '=', a.deviceId)
        .where('signature', '=', a.signature),
    ),
    insertEvidence: query<rows.Evidence>()((q, a) => q.insertInto('evidence').values(rows.evidenceColumns(a))),
    evidence: query<{ deviceId: string }>()((q, a) =>
      q.selectFrom('evidence').select(rows.EVIDENCE).where('device_id', '=', a.deviceId),
    ),
    unexportedEvidence: query<{ count: number }>()((q, a) =>
      q
        .selectFrom('evidence')
        .select(rows.EVIDENCE)
        .where('exported_at', 'is', null)
        .orderBy('device_id')
        .limit(a.count),
    ),
    evidenceExported: query<{ deviceId: string; exportedAt: number }>()((q, a) =>
      q.updateTable('evidence').set({ exported_at: a.exportedAt }).where('device_id', '=', a.deviceId),
    ),
    /** After a restore the files are gone: every document is written out again. */
    forgetRecordExports: query<object>()((q) => q.updateTable('provisioning_record').set({ exported_at: null })),
    forgetEvidenceExports: query<object>()((q) => q.updateTable('evidence').set({ exported_at: null })),
    /** Devices that are decommissioned and whose evidence a crash kept from being signed. */
    devicesWithoutEvidence: query<object>()((q) =>
      q
        .selectFrom('device')
        .leftJoin('evidence', 'evidence.device_id', 'device.device_id')
        .select('device.device_id as deviceId')
        .where('device.state', '=', 'decommissioned')
        .where('evidence.device_id', 'is', null)
        .orderBy('device.device_id'),
    ),
    // ---- audit
    insertAudit: query<rows.AuditRow>()((q, a) => q.insertInto('audit_entry').values(rows.auditColumns(a))),
    lastAudit: query<object>()((q) =>
      q.selectFrom('audit_entry').select(['seq', 'time']).orderBy('seq', 'desc').limit(1),
    ),
    auditEntry: query<{ seq: number }>()((q, a) =>
      q.selectFrom('audit_entry').select(rows.AUDIT).where('seq', '=', a.seq),
    ),
    auditEntries: query<{ from: number; count: number }>()((q, a) =>
      q.selectFrom('audit_entry').select(rows.AUDIT).where('seq', '>=', a.from).orderBy('seq').limit(a.count),
    ),
    // ---- revocation lists
    putCrl: query<rows.CrlRow>()((q, a) =>
      q
        .insertInto('crl_list')
        .values(rows.crlListColumns(a))
        .onConflict((conflict) =>
          conflict.column('list').doUpdateSet((eb) => ({
            number: eb.ref('excluded.number'),
            made_at: eb.ref('excluded.made_at'),
            next_update: eb.ref('excluded.next_update'),
            bytes: eb.ref('excluded.bytes'),
            sha256: eb.ref('excluded.sha256'),
          })),
        ),
    ),
    crlLists: query<{ issuer: IssuerName }>()((q, a) =>
      q
        .selectFrom('crl_list')
        .select([
          'list',
          'issuer',
          'number',
          'made_at as madeAt',
          'next_update as nextUpdate',
          'bytes',
          dialect.hex<string>('sha256').as('sha256'),
        ])
        .where('issuer', '=', a.issuer)
        .orderBy('list'),
    ),
    dropCrl: query<{ list: string }>()((q, a) => q.deleteFrom('crl_list').where('list', '=', a.list)),
    ...keyQueries(dialect),
    ...authorisationQueries(dialect),
    ...acmeQueries(dialect),
    ...revocationQueries(dialect),
    ...transactionQueries(dialect),
    ...reconciliationQueries(dialect),
    ...stationQueries(dialect),
    ...recordQueries(dialect),
    ...signingQueries(dialect),
    ...trustQueries(dialect),
    ...rotationQueries(dialect),
    // ---- small facts
    meta: query<{ key: string }>()((q, a) => q.selectFrom('meta').select('value').where('key', '=', a.key)),
    setMeta: query<{ key: string; value: string }>()((q, a) =>
      q
        .insertInto('meta')
        .values({ key: a.key, value: a.value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet((eb) => ({ value: eb.ref('excluded.value') }))),
    ),
  };
}

export type Queries = ReturnType<typeof compileQueries>;
