import { type DerCertificate, fromBase64, toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import {
  type ConsignedUnit,
  factoryIssuerId,
  type ParcelContent,
  parseTicket,
  signersOf,
} from '@keystead/core/lifecycle';
import { formatName, NO_END, readCertificate } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import type { Device, Tx } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';

/** One unit of a factory on its way into the records of headquarters. */
export interface UnitToRecord {
  readonly factory: string;
  readonly number: number;
  readonly unit: ConsignedUnit;
  readonly content: ParcelContent;
  /** Its signed ticket. */
  readonly ticket: string;
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
  readonly now: number;
}

/**
 * Records a unit that a factory provisioned and keyd took in, in the caller's transaction: device, certificate, record,
 * and the entry of the audit log by which the record is proven here. What is recorded is left as it is.
 * REQ-KEY-PROV-02, REQ-KEY-AUD-01
 */
export function recordTakenUnit(tx: Tx, deps: Pick<ProvisioningDeps, 'audit'>, v: UnitToRecord): void {
  const { factory, unit, content, actor, requestId, now } = v;
  const { deviceId, serial, spkiSha256 } = unit;
  const issuer = factoryIssuerId(factory);
  if (tx.certificate(issuer, serial) !== undefined) return;
  const der = fromBase64(content.certificate) as DerCertificate;
  const info = readCertificate(der);
  const { model, id: ticketId } = putTicket(tx, v);
  const keyOrigin = (unit.keyOrigin ?? 'proof-of-possession') as Device['keyOrigin'];
  const key = { spkiSha256, issuer, serial };
  const owner = `device:${deviceId}`;
  const use = tx.keyUse(spkiSha256);
  if (use === undefined) tx.insertKeyUse({ ...key, owner, firstSeen: now });
  else tx.reconciliation.moveKey({ ...key, owner });
  const { seq } = deps.audit(tx, {
    type: 'device.provisioned',
    actor,
    requestId,
    outcome: 'done',
    subject: { device: deviceId, ticket: ticketId, serial },
    detail: {
      model,
      factory,
      consignment: v.number,
      issuer,
      spkiSha256,
      certSha256: certSha256(der),
      recordSha256: toHex(sha256(Buffer.from(content.record, 'utf8'))),
      keyOrigin,
      provisionedAt: unit.at,
    },
  });
  const record = {
    deviceId,
    ticketId,
    issuer,
    serial,
    record: content.record,
    signature: fromBase64(content.signature),
    auditSeq: seq,
    createdAt: now,
  };
  if (tx.device(deviceId) === undefined) {
    const at = { readmittedAt: null, createdAt: now, changedAt: now };
    tx.insertDevice({ deviceId, state: 'provisioned', model, ticketId, idevidSerial: serial, keyOrigin, ...at });
    tx.insertProvisioningRecord({ ...record, exportedAt: null });
  } else {
    tx.reconciliation.setIdevid({ deviceId, serial, model, ticketId, keyOrigin, changedAt: now });
    if (tx.provisioningRecord(deviceId) === undefined) tx.insertProvisioningRecord({ ...record, exportedAt: null });
    else tx.reconciliation.replaceRecord(record);
  }
  tx.insertCertificate({
    ...key,
    profile: 'idevid',
    subject: formatName(info.subject),
    deviceId,
    operator: null,
    notBefore: info.notBefore.getTime(),
    notAfter: info.notAfter.getTime(),
    der,
    certSha256: certSha256(der),
    status: 'good',
    revokedAt: null,
    reason: null,
    requestId,
    csrSha256: '',
    issuedAt: Date.parse(unit.at),
  });
}

/** The ticket of a factory's unit, in the records from its first unit on. */
function putTicket(tx: Tx, { ticket: text, factory, now }: UnitToRecord): { model: string; id: string } {
  const signed = parseTicket(text);
  const { id, model, quota, notBefore, notAfter } = signed.ticket;
  if (tx.ticket(id) === undefined) {
    tx.insertTicket({
      ticketId: id,
      text,
      signer: signersOf(signed).join(', '),
      model,
      quota,
      notBefore: Date.parse(notBefore),
      notAfter: Date.parse(notAfter),
      openedBy: `factory.${factory}`,
      openedAt: now,
    });
  }
  return { id, model };
}

/**
 * Records a certificate of a factory that nobody was given: it stands with those that a crash left, and its key stays
 * with the device, which has another certificate for it or comes again.
 */
export function recordVoidUnit(
  tx: Tx,
  { audit }: Pick<ProvisioningDeps, 'audit'>,
  v: Pick<UnitToRecord, 'factory' | 'unit' | 'actor' | 'requestId' | 'now' | 'number'>,
): void {
  const { factory, unit, actor, requestId, now, number } = v;
  const { deviceId, serial, spkiSha256, at } = unit;
  const issuer = factoryIssuerId(factory);
  if (tx.journalCertificate(issuer, serial) !== undefined || tx.certificate(issuer, serial) !== undefined) return;
  const owner = `device:${deviceId}`;
  tx.insertJournalCertificate({
    issuer,
    serial,
    profile: 'idevid',
    subject: owner,
    spkiSha256,
    notAfter: NO_END.getTime(),
    requestId,
    signedAt: Date.parse(at),
    fate: 'abandoned',
    foundAt: now,
  });
  if (tx.keyUse(spkiSha256) === undefined)
    tx.insertKeyUse({ spkiSha256, owner, issuer: null, serial: null, firstSeen: now });
  audit(tx, {
    type: 'certificate.abandoned',
    actor,
    requestId,
    outcome: 'done',
    subject: { owner, profile: 'idevid', issuer, serial },
    detail: { spkiSha256, consignment: number, why: 'its factory gave it to nobody' },
  });
}
