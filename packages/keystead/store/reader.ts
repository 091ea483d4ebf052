import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import { AcmeReader } from './acme-records.ts';
import type { AuthorisationRow, EnrolmentRequestRow } from './authorisation-rows.ts';
import type { RequestState } from './authorisation-schema.ts';
import type { CertifiedKey, KeyEventRow, KeyRow, ServiceKey } from './key-rows.ts';
import type { Queries } from './queries.ts';
import { ReconciliationReader } from './reconciliation-records.ts';
import type { RevocableRow, RevocationActRow } from './revocation-rows.ts';
import type { RevocationActState } from './revocation-schema.ts';
import { RotationReader } from './rotation-records.ts';
import type {
  AuditRow,
  Certificate,
  CrlRow,
  Device,
  Evidence,
  JournalCertificate,
  KeyUse,
  ProvisioningRecord,
  Ticket,
} from './rows.ts';
import type { CertificateState } from './schema.ts';
import { SigningReader } from './signing-records.ts';
import type { Prepared } from './statement.ts';
import { StationReader } from './station-records.ts';
import type { EnrolmentTransactionRow } from './transaction-rows.ts';
import { TrustBundleReader, UptakeReader } from './trust-records.ts';

/** What the records say about one certificate's standing. */
export interface StatusRow {
  readonly status: CertificateState;
  readonly revokedAt: number | null;
  readonly reason: RevocationReason | null;
}

export interface RevokedRow {
  readonly serial: Serial;
  readonly revokedAt: number;
  readonly reason: RevocationReason | null;
  readonly notAfter: number;
}

/** What can be asked of the records. Every answer of one `Store.read` or `Store.commit` is of the same moment. */
export class Reader {
  protected readonly statements: Prepared<Queries>;

  constructor(statements: Prepared<Queries>) {
    this.statements = statements;
  }

  certificate(issuer: IssuerName, serial: Serial): Certificate | undefined {
    return this.statements.certificate.first({ issuer, serial });
  }

  /** Every certificate with this serial: more than one only if two CAs drew the same 158 random bits. */
  certificatesBySerial(serial: Serial): Certificate[] {
    return this.statements.certificatesBySerial.all({ serial });
  }

  /** Every certificate that the device ever had, oldest first. */
  certificatesOfDevice(deviceId: string): Certificate[] {
    return this.statements.certificatesOfDevice.all({ deviceId });
  }

  /** The certificate of this profile that the device got last. */
  lastOfDevice(deviceId: string, profile: string): Pick<Certificate, 'serial' | 'notAfter'> | undefined {
    return this.statements.lastOfDevice.first({ deviceId, profile });
  }

  countCertificates(): number {
    return this.statements.countCertificates.first({})?.count ?? 0;
  }

  statusOf(issuer: IssuerName, serial: Serial): StatusRow | undefined {
    return this.statements.statusOf.first({ issuer, serial });
  }

  /** What was revoked or put on hold at `issuer` at or after `since` (ms), oldest revocation first. */
  revokedSince(issuer: IssuerName, since: number): RevokedRow[] {
    return this.statements.revokedSince.all({ issuer, since }) as RevokedRow[];
  }

  keyUse(spkiSha256: SpkiSha256): KeyUse | undefined {
    return this.statements.keyUse.first({ spkiSha256 });
  }

  /** What only keyd's journal knows of a certificate. */
  journalCertificate(issuer: IssuerName, serial: Serial): JournalCertificate | undefined {
    return this.statements.journalCertificate.first({ issuer, serial });
  }

  /** What was found abandoned at or after `since` (ms), oldest finding first. */
  abandonedSince(issuer: IssuerName, since: number): JournalCertificate[] {
    return this.statements.abandonedSince.all({ issuer, since });
  }

  device(deviceId: string): Device | undefined {
    return this.statements.device.first({ deviceId });
  }

  /** Up to `count` devices whose id follows `after` in binary order; `''` begins. */
  devices(after: string, count: number): Device[] {
    return this.statements.devices.all({ after, count });
  }

  ticket(ticketId: string): Ticket | undefined {
    return this.statements.ticket.first({ ticketId });
  }

  /** Up to `count` tickets that are in force at `at` (ms), from the one after `after` on; `''` begins. */
  ticketsInForce(at: number, after: string, count: number): Ticket[] {
    return this.statements.ticketsInForce.all({ at, after, count });
  }

  provisioningRecord(deviceId: string): ProvisioningRecord | undefined {
    return this.statements.record.first({ deviceId });
  }

  /** Up to `count` records of a batch made from `from` on and before `to` (ms), by device id behind `after`; `''` begins. */
  recordsOfTicket(v: {
    ticketId: string;
    after: string;
    from: number;
    to: number;
    count: number;
  }): ProvisioningRecord[] {
    return this.statements.recordsOfTicket.all(v);
  }

  /** Up to `count` records made before `to` (ms), the oldest first, behind the device `after` of the time `at` (ms). */
  recordsByTime({ at, ...v }: { at: number; after: string; to: number; count: number }): ProvisioningRecord[] {
    return this.statements.recordsByTime.all({ ...v, at, atAgain: at });
  }

  /** Up to `count` records that are not yet known to be a file. */
  unexportedRecords(count: number): ProvisioningRecord[] {
    return this.statements.unexportedRecords.all({ count });
  }

  evidence(deviceId: string): Evidence | undefined {
    return this.statements.evidence.first({ deviceId });
  }

  unexportedEvidence(count: number): Evidence[] {
    return this.statements.unexportedEvidence.all({ count });
  }

  /** Ids of devices that are decommissioned and have no signed evidence yet. */
  devicesWithoutEvidence(): string[] {
    return this.statements.devicesWithoutEvidence.all({}).map((row) => row.deviceId);
  }

  /** How many entries the audit log has; the next one gets this number. */
  auditSize(): number {
    const last = this.statements.lastAudit.first({});
    return last === undefined ? 0 : last.seq + 1;
  }

  /** When the last audit entry was made (ms); undefined in an empty log. */
  lastAuditTime(): number | undefined {
    return this.statements.lastAudit.first({})?.time;
  }

  auditEntry(seq: number): AuditRow | undefined {
    return this.statements.auditEntry.first({ seq });
  }

  /** Up to `count` entries from number `from` on, in order. */
  auditEntries(from: number, count: number): AuditRow[] {
    return this.statements.auditEntries.all({ from, count });
  }

  /** The newest CRL of each list of an issuer. */
  crlLists(issuer: IssuerName): CrlRow[] {
    return this.statements.crlLists.all({ issuer });
  }

  key(id: string): KeyRow | undefined {
    return this.statements.key.first({ id });
  }

  keyBySpki(spkiSha256: SpkiSha256): KeyRow | undefined {
    return this.statements.keyBySpki.first({ spkiSha256 });
  }

  /** Up to `count` keys whose id follows `after` in binary order; `''` begins. */
  keys(after: string, count: number): KeyRow[] {
    return this.statements.keys.all({ after, count });
  }

  /** What happened to a key, in order. */
  keyEvents(id: string): KeyEventRow[] {
    return this.statements.keyEvents.all({ id });
  }

  /** Up to `count` certified keys whose hash begins with these hex digits, at most 64. */
  keyUsesByPrefix(prefix: string, count: number): KeyUse[] {
    const from = prefix.padEnd(64, '0') as SpkiSha256;
    return this.statements.keyUsesBetween.all({ from, to: prefix.padEnd(64, 'f') as SpkiSha256, count });
  }

  /** The keys that a device ever had certified, oldest first. */
  keysOfDevice(deviceId: string): CertifiedKey[] {
    return this.statements.keysOfDevice.all({ deviceId });
  }

  /** Up to `count` keys of people and servers after the one named, by subject and time; each by its newest certificate. */
  serviceKeys(after: { subject: string; issuedAt: number; serial: Serial }, count: number): ServiceKey[] {
    return this.statements.serviceKeys.all({ ...after, count });
  }

  /** The key for which the owner of this one got its next certificate under the same name. */
  nextServiceKey({ subject, issuedAt, owner }: ServiceKey): { spkiSha256: SpkiSha256; issuedAt: number } | undefined {
    return this.statements.nextServiceKey.first({ subject, issuedAt, owner });
  }

  /** Up to `count` certificates that stand in keyd's journal only, after the one named. */
  journalCertificates(
    after: { issuer: IssuerName | ''; signedAt: number; serial: Serial },
    count: number,
  ): JournalCertificate[] {
    return this.statements.journalCertificates.all({ ...after, issuer: after.issuer as IssuerName, count });
  }

  /** Up to `count` certificates of keyd's journal whose key's hash begins with these hex digits. */
  journalCertificatesByPrefix(prefix: string, count: number): JournalCertificate[] {
    const from = prefix.padEnd(64, '0') as SpkiSha256;
    return this.statements.journalCertificatesBetween.all({ from, to: prefix.padEnd(64, 'f') as SpkiSha256, count });
  }

  /** What keyd made for itself next after this one, by the same profile and CA. */
  nextJournalCertificate({ issuer, profile, signedAt }: JournalCertificate): JournalCertificate | undefined {
    return this.statements.nextJournalCertificate.first({ issuer, profile, signedAt });
  }

  authorisation(id: string): AuthorisationRow | undefined {
    return this.statements.authorisation.first({ id });
  }

  /** Up to `count` authorisations whose id follows `after` in binary order; `''` begins. */
  authorisations(after: string, count: number): AuthorisationRow[] {
    return this.statements.authorisations.all({ after, count });
  }

  enrolmentRequest(id: string): EnrolmentRequestRow | undefined {
    return this.statements.enrolmentRequest.first({ id });
  }

  /** The request that was made under this authorisation with this CSR. */
  enrolmentRequestOf(authorisationId: string, csrSha256: string): EnrolmentRequestRow | undefined {
    return this.statements.enrolmentRequestOf.first({ authorisationId, csrSha256 });
  }

  /** Up to `count` requests in this state, oldest first. */
  enrolmentRequests(state: RequestState, count: number): EnrolmentRequestRow[] {
    return this.statements.enrolmentRequests.all({ state, count });
  }

  countWaiting(authorisationId: string): number {
    return this.statements.countWaiting.first({ authorisationId })?.count ?? 0;
  }
  /** Requests that an operator has approved, whether or not their certificates were fetched. */
  countApproved(authorisationId: string): number {
    return this.statements.countApproved.first({ authorisationId })?.count ?? 0;
  }

  /** What travels between factory nodes and headquarters. */
  get reconciliation(): ReconciliationReader {
    return new ReconciliationReader(this.statements);
  }

  /** The records of ACME. */
  get acme(): AcmeReader {
    return new AcmeReader(this.statements);
  }

  revocationAct(id: string): RevocationActRow | undefined {
    return this.statements.revocationAct.first({ id });
  }

  /** Up to `count` acts in this state, the oldest first. */
  revocationActs(state: RevocationActState, count: number): RevocationActRow[] {
    return this.statements.revocationActs.all({ state, count });
  }

  /** Every certificate of this key that people and servers have, oldest first. */
  certificatesOfKey(spkiSha256: SpkiSha256): Certificate[] {
    return this.statements.certificatesOfKey.all({ spkiSha256 });
  }

  /** Up to `count` units of a batch whose id follows `after` in binary order; `''` begins. */
  unitsOfBatch(ticketId: string, after: string, count: number): Pick<Device, 'deviceId' | 'idevidSerial' | 'state'>[] {
    return this.statements.unitsOfBatch.all({ ticketId, after, count });
  }

  /** Up to `count` certificates of a CA that are in force and not revoked for good, by serial; `''` begins. */
  revocableOf(issuer: IssuerName, after: string, now: number, count: number): RevocableRow[] {
    return this.statements.revocableOf.all({ issuer, after: after as Serial, now, count });
  }

  /** The enrolment of several messages with this id. */
  transaction(id: Uint8Array): EnrolmentTransactionRow | undefined {
    return this.statements.transaction.first({ id });
  }

  transactionsOfCertificate(issuer: IssuerName, serial: Serial): EnrolmentTransactionRow[] {
    return this.statements.transactionsOfCertificate.all({ issuer, serial });
  }

  /** Up to `count` whose certificate should have been confirmed by now. */
  transactionsDue(now: number, count: number): EnrolmentTransactionRow[] {
    return this.statements.transactionsDue.all({ now, count });
  }

  /** How many of this requester's have not ended. */
  countOpenTransactions(requester: string): number {
    return this.statements.countOpenTransactions.first({ requester })?.count ?? 0;
  }

  /** The records of rotation campaigns. */
  get rotation(): RotationReader {
    return new RotationReader(this.statements);
  }

  /** The records of firmware signing. */
  get signing(): SigningReader {
    return new SigningReader(this.statements);
  }

  /** The published trust bundles. */
  get trustBundles(): TrustBundleReader {
    return new TrustBundleReader(this.statements);
  }

  /** What devices said last that they go by. */
  get uptake(): UptakeReader {
    return new UptakeReader(this.statements);
  }

  /** The records of stations. */
  get stations(): StationReader {
    return new StationReader(this.statements);
  }

  meta(key: string): string | undefined {
    return this.statements.meta.first({ key })?.value;
  }
}
