import type { CertSha256, Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import type { Insertable } from 'kysely';
import type { Dialect } from './dialect.ts';
import { bytesOf } from './query.ts';
import type * as table from './schema.ts';

/*
 * A row as the domain sees it, the columns that make it, and the way back. Times are milliseconds since 1970 UTC,
 * serials and hashes lower-case hex. The `select` lists rename and convert in SQL, so that no row is copied on its
 * way out.
 */

export interface Certificate {
  readonly issuer: IssuerName;
  readonly serial: Serial;
  readonly profile: string;
  readonly subject: string;
  readonly deviceId: string | null;
  readonly operator: string | null;
  readonly spkiSha256: SpkiSha256;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly der: Uint8Array;
  readonly certSha256: CertSha256;
  readonly status: table.CertificateState;
  readonly revokedAt: number | null;
  readonly reason: RevocationReason | null;
  /** Set by a revocation that names it. */
  readonly invalidityAt?: number | null;
  readonly requestId: string;
  /** SHA-256 of the DER request that it answers, hex. */
  readonly csrSha256: string;
  readonly issuedAt: number;
}
export const certificateSelection = ({ hex }: Dialect) =>
  [
    'issuer',
    hex<Serial>('serial').as('serial'),
    'profile',
    'subject',
    'device_id as deviceId',
    'operator',
    hex<SpkiSha256>('spki_sha256').as('spkiSha256'),
    'not_before as notBefore',
    'not_after as notAfter',
    'der',
    hex<CertSha256>('cert_sha256').as('certSha256'),
    'status',
    'revoked_at as revokedAt',
    'reason',
    'invalidity_at as invalidityAt',
    'request_id as requestId',
    hex<string>('csr_sha256').as('csrSha256'),
    'issued_at as issuedAt',
  ] as const;
export const certificateColumns = (row: Certificate): Insertable<table.CertificateTable> => ({
  issuer: row.issuer,
  serial: bytesOf(row.serial),
  profile: row.profile,
  subject: row.subject,
  device_id: row.deviceId,
  operator: row.operator,
  spki_sha256: bytesOf(row.spkiSha256),
  not_before: row.notBefore,
  not_after: row.notAfter,
  der: row.der,
  cert_sha256: bytesOf(row.certSha256),
  status: row.status,
  revoked_at: row.revokedAt,
  reason: row.reason,
  request_id: row.requestId,
  csr_sha256: bytesOf(row.csrSha256),
  issued_at: row.issuedAt,
});

/** That a key was seen, and whose it is, for all time. */
export interface KeyUse {
  readonly spkiSha256: SpkiSha256;
  readonly owner: string;
  readonly issuer: IssuerName | null;
  readonly serial: Serial | null;
  readonly firstSeen: number;
  /** Set when it is reported. */
  readonly compromisedAt?: number | null;
}
export const keyUseSelection = ({ hex }: Dialect) =>
  [
    hex<SpkiSha256>('spki_sha256').as('spkiSha256'),
    'owner',
    'issuer',
    hex<Serial | null>('serial').as('serial'),
    'first_seen as firstSeen',
    'compromised_at as compromisedAt',
  ] as const;
export const keyUseColumns = (row: KeyUse): Insertable<table.SpkiHistoryTable> => ({
  spki_sha256: bytesOf(row.spkiSha256),
  owner: row.owner,
  issuer: row.issuer,
  serial: bytesOf(row.serial),
  first_seen: row.firstSeen,
});

/** A certificate that stands in keyd's journal and not in the records. */
export interface JournalCertificate {
  readonly issuer: IssuerName;
  readonly serial: Serial;
  readonly profile: string;
  readonly subject: string;
  readonly spkiSha256: SpkiSha256;
  readonly notAfter: number;
  readonly requestId: string;
  readonly signedAt: number;
  readonly fate: table.JournalFate;
  readonly foundAt: number;
}
export const journalSelection = ({ hex }: Dialect) =>
  [
    'issuer',
    hex<Serial>('serial').as('serial'),
    'profile',
    'subject',
    hex<SpkiSha256>('spki_sha256').as('spkiSha256'),
    'not_after as notAfter',
    'request_id as requestId',
    'signed_at as signedAt',
    'fate',
    'found_at as foundAt',
  ] as const;
export const journalColumns = (row: JournalCertificate): Insertable<table.JournalCertificateTable> => ({
  issuer: row.issuer,
  serial: bytesOf(row.serial),
  profile: row.profile,
  subject: row.subject,
  spki_sha256: bytesOf(row.spkiSha256),
  not_after: row.notAfter,
  request_id: row.requestId,
  signed_at: row.signedAt,
  fate: row.fate,
  found_at: row.foundAt,
});

export interface Device {
  readonly deviceId: string;
  readonly state: table.DeviceState;
  readonly model: string;
  readonly ticketId: string;
  readonly idevidSerial: Serial;
  readonly keyOrigin: table.KeyOriginName;
  readonly readmittedAt: number | null;
  readonly createdAt: number;
  readonly changedAt: number;
}
export const deviceSelection = ({ hex }: Dialect) =>
  [
    'device_id as deviceId',
    'state',
    'model',
    'ticket_id as ticketId',
    hex<Serial>('idevid_serial').as('idevidSerial'),
    'key_origin as keyOrigin',
    'readmitted_at as readmittedAt',
    'created_at as createdAt',
    'changed_at as changedAt',
  ] as const;
export const deviceColumns = (row: Device): Insertable<table.DeviceTable> => ({
  device_id: row.deviceId,
  state: row.state,
  model: row.model,
  ticket_id: row.ticketId,
  idevid_serial: bytesOf(row.idevidSerial),
  key_origin: row.keyOrigin,
  readmitted_at: row.readmittedAt,
  created_at: row.createdAt,
  changed_at: row.changedAt,
});

export interface Ticket {
  readonly ticketId: string;
  readonly text: string;
  readonly signer: string;
  readonly model: string;
  readonly quota: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly openedBy: string;
  readonly openedAt: number;
}
export const TICKET = [
  'ticket_id as ticketId',
  'text',
  'signer',
  'model',
  'quota',
  'not_before as notBefore',
  'not_after as notAfter',
  'opened_by as openedBy',
  'opened_at as openedAt',
] as const;
export const ticketColumns = (row: Ticket): Insertable<table.TicketTable> => ({
  ticket_id: row.ticketId,
  text: row.text,
  signer: row.signer,
  model: row.model,
  quota: row.quota,
  not_before: row.notBefore,
  not_after: row.notAfter,
  opened_by: row.openedBy,
  opened_at: row.openedAt,
});

export interface ProvisioningRecord {
  readonly deviceId: string;
  readonly ticketId: string;
  readonly issuer: IssuerName;
  readonly serial: Serial;
  readonly record: string;
  readonly signature: Uint8Array;
  readonly auditSeq: number;
  readonly createdAt: number;
  readonly exportedAt: number | null;
}
export const recordSelection = ({ hex }: Dialect) =>
  [
    'device_id as deviceId',
    'ticket_id as ticketId',
    'issuer',
    hex<Serial>('serial').as('serial'),
    'record',
    'signature',
    'audit_seq as auditSeq',
    'created_at as createdAt',
    'exported_at as exportedAt',
  ] as const;
export const recordColumns = (row: ProvisioningRecord): Insertable<table.ProvisioningRecordTable> => ({
  device_id: row.deviceId,
  ticket_id: row.ticketId,
  issuer: row.issuer,
  serial: bytesOf(row.serial),
  record: row.record,
  signature: row.signature,
  audit_seq: row.auditSeq,
  created_at: row.createdAt,
  exported_at: row.exportedAt,
});

export interface Evidence {
  readonly deviceId: string;
  readonly document: string;
  readonly signature: Uint8Array;
  readonly auditSeq: number;
  readonly createdAt: number;
  readonly exportedAt: number | null;
}
export const EVIDENCE = [
  'device_id as deviceId',
  'document',
  'signature',
  'audit_seq as auditSeq',
  'created_at as createdAt',
  'exported_at as exportedAt',
] as const;
export const evidenceColumns = (row: Evidence): Insertable<table.EvidenceTable> => ({
  device_id: row.deviceId,
  document: row.document,
  signature: row.signature,
  audit_seq: row.auditSeq,
  created_at: row.createdAt,
  exported_at: row.exportedAt,
});

/** One entry of the audit log: `bytes` is the canonical entry, `leafHash` its RFC 6962 leaf hash (32 bytes). */
export interface AuditRow {
  readonly seq: number;
  readonly time: number;
  readonly leafHash: Uint8Array;
  readonly bytes: Uint8Array;
}
export const AUDIT = ['seq', 'time', 'leaf_hash as leafHash', 'bytes'] as const;
export const auditColumns = (row: AuditRow): Insertable<table.AuditEntryTable> => ({
  seq: row.seq,
  time: row.time,
  leaf_hash: row.leafHash,
  bytes: row.bytes,
});

/** The newest CRL of one list. Times are milliseconds since 1970. */
export interface CrlRow {
  /** `crlListName` of it. */
  readonly list: string;
  readonly issuer: IssuerName;
  readonly number: number;
  readonly madeAt: number;
  readonly nextUpdate: number;
  readonly bytes: number;
  /** Of its DER, hex. */
  readonly sha256: string;
}
export const crlListColumns = (row: CrlRow): Insertable<table.CrlListTable> => ({
  list: row.list,
  issuer: row.issuer,
  number: row.number,
  made_at: row.madeAt,
  next_update: row.nextUpdate,
  bytes: row.bytes,
  sha256: bytesOf(row.sha256),
});
