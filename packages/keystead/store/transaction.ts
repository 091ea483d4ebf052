import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { IssuerName, KeyStanding } from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import { AcmeWriter } from './acme-records.ts';
import type { AuthorisationRow, EnrolmentRequestRow } from './authorisation-rows.ts';
import type { KeyEventRow, KeyRow } from './key-rows.ts';
import type { Queries } from './queries.ts';
import { Reader } from './reader.ts';
import { ReconciliationWriter } from './reconciliation-records.ts';
import type { RevocationActRow } from './revocation-rows.ts';
import { RotationWriter } from './rotation-records.ts';
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
import type { CertificateState, DeviceState } from './schema.ts';
import { SigningWriter } from './signing-records.ts';
import type { Prepared } from './statement.ts';
import { StationWriter } from './station-records.ts';
import type { EnrolmentTransactionRow } from './transaction-rows.ts';
import { TrustBundleWriter, UptakeWriter } from './trust-records.ts';

/** The end of the audit log: its last number, and its time in milliseconds. */
export interface AuditHead {
  readonly seq: number;
  readonly time: number;
}

/**
 * What one piece of work may change. It sees its own changes and those of the work before it in the same
 * group. It is good only until the work returns.
 */
export class Tx extends Reader {
  /** The head as this transaction sees it; the store puts it back when the work is undone. */
  #head: AuditHead | undefined;

  constructor(statements: Prepared<Queries>) {
    super(statements);
    this.reloadHead();
  }

  /** Reads the head from the table: after anything that may have changed it behind this object's back. */
  reloadHead(): void {
    this.#head = this.statements.lastAudit.first({});
  }

  restoreHead(head: AuditHead | undefined): void {
    this.#head = head;
  }

  /** The last audit entry, also one that this group has not yet committed; undefined in an empty log. */
  lastAudit(): AuditHead | undefined {
    return this.#head;
  }

  override lastAuditTime(): number | undefined {
    return this.#head?.time;
  }

  override auditSize(): number {
    return this.#head === undefined ? 0 : this.#head.seq + 1;
  }

  /** @throws RangeError when the entry is not the next one, or is older than the last one: a programming error. */
  insertAudit(row: AuditRow): void {
    if (row.seq !== this.auditSize())
      throw new RangeError(`audit entry ${row.seq} does not follow ${this.auditSize() - 1}`);
    if (this.#head !== undefined && row.time < this.#head.time)
      throw new RangeError(`audit entry ${row.seq} goes back in time`);
    this.statements.insertAudit.run(row);
    this.#head = { seq: row.seq, time: row.time };
  }

  insertCertificate(row: Certificate): void {
    this.statements.insertCertificate.run(row);
  }

  /** Changes a certificate that is not revoked. @returns whether there was one. */
  setStatus(
    issuer: IssuerName,
    serial: Serial,
    status: CertificateState,
    revokedAt: number | null,
    reason: RevocationReason | null,
    invalidityAt: number | null = null,
  ): boolean {
    return this.statements.setStatus.run({ issuer, serial, status, revokedAt, reason, invalidityAt }) === 1;
  }

  /** Blocks a key for all time, also one that was never seen here. Its first report stays. */
  compromiseKey(spkiSha256: SpkiSha256, compromisedAt: number): void {
    this.statements.compromiseKey.run({ spkiSha256, compromisedAt });
  }

  insertRevocationAct(row: RevocationActRow): void {
    this.statements.insertRevocationAct.run(row);
  }

  /** Keeps what people have signed so far of an act that is proposed. */
  setRevocationStatements(id: string, statements: string, expiresAt: number): void {
    this.statements.setRevocationStatements.run({ id, statements, expiresAt });
  }

  moveRevocationAct(row: Pick<RevocationActRow, 'id' | 'state' | 'startedAt' | 'finishedAt'>): void {
    this.statements.moveRevocationAct.run(row);
  }

  advanceRevocationAct(row: Pick<RevocationActRow, 'id' | 'cursor' | 'certificates' | 'devices'>): void {
    this.statements.advanceRevocationAct.run(row);
  }

  /** @throws the error that maps to `key.already-used` when the key was ever seen. REQ-KEY-PROV-03 */
  insertKeyUse(row: KeyUse): void {
    this.statements.insertKeyUse.run(row);
  }

  /** Ties a key that was seen but never certified to the certificate that now carries it. */
  certifyKey(spkiSha256: SpkiSha256, issuer: IssuerName, serial: Serial): void {
    this.statements.certifyKey.run({ spkiSha256, issuer, serial });
  }

  insertJournalCertificate(row: JournalCertificate): void {
    this.statements.insertJournalCertificate.run(row);
  }

  insertDevice(row: Device): void {
    this.statements.insertDevice.run(row);
  }

  setDeviceState(deviceId: string, state: DeviceState, changedAt: number): void {
    this.statements.setDeviceState.run({ deviceId, state, changedAt });
  }

  /** Starts the grace period of a late device anew. */
  setReadmitted(deviceId: string, readmittedAt: number): void {
    this.statements.setReadmitted.run({ deviceId, readmittedAt });
  }

  /** Puts the same ticket in the place of one whose signatures are good no more. */
  signTicketAnew(ticket: Pick<Ticket, 'ticketId' | 'text' | 'signer'>): void {
    this.statements.signTicketAnew.run(ticket);
  }

  insertTicket(row: Ticket): void {
    this.statements.insertTicket.run(row);
  }

  insertProvisioningRecord(row: ProvisioningRecord): void {
    this.statements.insertRecord.run(row);
  }

  /** Takes note that the record of this signature is a file; one that has taken its place since is not. */
  recordExported(deviceId: string, signature: Uint8Array, exportedAt: number): void {
    this.statements.recordExported.run({ deviceId, signature, exportedAt });
  }

  insertEvidence(row: Evidence): void {
    this.statements.insertEvidence.run(row);
  }

  evidenceExported(deviceId: string, exportedAt: number): void {
    this.statements.evidenceExported.run({ deviceId, exportedAt });
  }

  /** Has every record and every evidence written to its file again. */
  forgetExports(): void {
    this.statements.forgetRecordExports.run({});
    this.statements.forgetEvidenceExports.run({});
  }

  /** Takes note of the newest CRL of a list. */
  putCrl(row: CrlRow): void {
    this.statements.putCrl.run(row);
  }

  /** Forgets a list that is not made any more. */
  dropCrl(list: string): void {
    this.statements.dropCrl.run({ list });
  }

  insertKey(row: KeyRow): void {
    this.statements.insertKey.run(row);
  }

  setKeyStanding(id: string, { state, dates }: KeyStanding): void {
    this.statements.setKeyStanding.run({ id, state, ...dates });
  }

  /** @param certificateEnd notAfter of the newest certificate for the key, milliseconds. @param evidence JSON. */
  setKeyCertificate(id: string, certificateEnd: number, evidence: string): void {
    this.statements.setKeyCertificate.run({ id, certificateEnd, evidence });
  }

  setSuccessor(id: string, successor: string): void {
    this.statements.setSuccessor.run({ id, successor });
  }

  insertKeyEvent(row: KeyEventRow): void {
    this.statements.insertKeyEvent.run(row);
  }

  insertAuthorisation(row: AuthorisationRow): void {
    this.statements.insertAuthorisation.run(row);
  }

  withdrawAuthorisation(id: string, withdrawnAt: number): void {
    this.statements.withdrawAuthorisation.run({ id, withdrawnAt });
  }

  insertEnrolmentRequest(row: EnrolmentRequestRow): void {
    this.statements.insertEnrolmentRequest.run(row);
  }

  /** Decides a request that waits. @returns whether there was one. */
  decideEnrolmentRequest(
    decision: Pick<EnrolmentRequestRow, 'id' | 'state' | 'decidedAt' | 'decidedBy' | 'approvalId' | 'reason'>,
  ): boolean {
    return this.statements.decideEnrolmentRequest.run(decision) === 1;
  }

  enrolmentRequestIssued(id: string): void {
    this.statements.enrolmentRequestIssued.run({ id });
  }

  override get reconciliation(): ReconciliationWriter {
    return new ReconciliationWriter(this.statements);
  }

  override get acme(): AcmeWriter {
    return new AcmeWriter(this.statements);
  }

  /** Inserts a transaction, or sets where it stands. */
  putTransaction(row: EnrolmentTransactionRow): void {
    this.statements.putTransaction.run(row);
  }

  forgetTransactions(endedBefore: number, waitingBefore: number): void {
    this.statements.forgetTransactions.run({ endedBefore, waitingBefore });
  }

  override get rotation(): RotationWriter {
    return new RotationWriter(this.statements);
  }

  override get signing(): SigningWriter {
    return new SigningWriter(this.statements);
  }

  override get trustBundles(): TrustBundleWriter {
    return new TrustBundleWriter(this.statements);
  }

  override get uptake(): UptakeWriter {
    return new UptakeWriter(this.statements);
  }

  override get stations(): StationWriter {
    return new StationWriter(this.statements);
  }

  setMeta(key: string, value: string): void {
    this.statements.setMeta.run({ key, value });
  }
}
