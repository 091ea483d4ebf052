import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { checkDeviceId, type ParsedCsr, parseCsr, verifyProofOfPossession } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import {
  batchRevoked,
  type Issued,
  type KeyClaim,
  KeyTaken,
  keyVerdict,
  ownIssuer,
  requireClock,
} from '../authority/index.ts';
import type { Params, Result } from '../keyd-client/index.ts';
import type { ProvisioningRecord, Reader, Ticket, Tx } from '../store/index.ts';
import type { ProvisioningDeps } from './deps.ts';
import { exportRecords } from './files.ts';
import { keyDetail, requireSameWay, wayOf } from './key-way.ts';

export interface UnitOrder {
  readonly ticketId: string;
  readonly deviceId: string;
  /** PKCS#10, DER: the device's own key, made on the device. */
  readonly csr: Uint8Array;
  readonly station: string;
  /** The operator at the line, whom its certificate has authenticated. */
  readonly operator: string;
  readonly line: string;
  readonly requestId: string;
  /** The answer to a challenge, where the key is attested. */
  readonly attestation?: { readonly challengeId: string; readonly secret: Uint8Array };
  /** What shows who stands at the station, where the unit comes from one; keyd verifies it. */
  readonly at?: { readonly certificate: DerCertificate; readonly signOn: string };
  /** What else is recorded with a unit that is new, in the same transaction. */
  alongside?(tx: Tx): void;
  /** Another way to the key, which keyd judges. */
  readonly way?: Params<'provision'>['way'];
}

export interface ProvisionedUnit extends Issued {
  /** The provisioning record, YAML, exactly the bytes that are signed. */
  readonly record: string;
  /** ECDSA over the record, DER. */
  readonly signature: Uint8Array;
  /** The number of its `device.provisioned` entry in the audit log. */
  readonly auditSeq: number;
}

/**
 * Provisions one unit: its IDevID, its record, its place in the records of the fleet. The same device with the same
 * key may come again after a power cut and gets what it already has. REQ-KEY-PROV-01, REQ-KEY-PROV-02
 * @throws KeysteadError `ticket.*`, `device.id-malformed`, `device.already-provisioned`, `device.blocked`,
 *   `key.already-used`, `csr.*`, `key.*`, `attestation.*`, `element.*`, `injection.*` and what keyd refuses, each audited; `store.*`, `keyd.unreachable`.
 */
export async function provisionUnit(deps: ProvisioningDeps, order: UnitOrder): Promise<ProvisionedUnit> {
  try {
    requireClock(deps);
    checkDeviceId(order.deviceId);
    const request = parseCsr(order.csr);
    const claim: KeyClaim = {
      spkiSha256: spkiSha256(request.spki),
      owner: `device:${order.deviceId}`,
      profile: 'idevid',
      csrSha256: toHex(sha256(request.der)),
      requestId: order.requestId,
    };
    const before = deps.store.read((records) => lookUp(records, order, claim, request));
    if ('repeated' in before) {
      // The first time may have ended between the COMMIT and the file.
      await exportRecords(deps);
      return before;
    }
    // Not by the request: a device that lost power signs a new one with the same key. But what is asked for with
    // attestation never gets the outcome of what was asked for without.
    const unit = { ...claim, ticketId: order.ticketId, csrSha256: wayOf(order) ?? '' };
    const { value, shared } = await deps.claims.share(unit, () => signAndRecord(deps, order, claim, before.ticket));
    await exportRecords(deps);
    return { ...value, repeated: shared };
  } catch (error) {
    if (error instanceof KeysteadError && error.kind !== 'unavailable')
      await auditRefusal(deps, 'provision unit', order, error);
    throw error;
  }
}

/** The unit as it is already recorded, or the ticket by which it may be provisioned. */
function lookUp(
  records: Reader,
  order: UnitOrder,
  claim: KeyClaim,
  request: ParsedCsr,
): ProvisionedUnit | { ticket: Ticket } {
  const ticket = records.ticket(order.ticketId);
  if (ticket === undefined) throw new KeysteadError('ticket.unknown', { field: 'ticketId', seen: order.ticketId });
  requireBatch(records, order.ticketId);
  const verdict = keyVerdict(records, claim);
  // Only a holder of the key is reported as the second one: a public key alone can be copied by anybody.
  if (verdict.kind !== 'free') verifyProofOfPossession(request);
  if (verdict.kind === 'taken') throw new KeyTaken(verdict.owner);
  const device = records.device(order.deviceId);
  if (device === undefined) {
    if (verdict.kind === 'certified') throw new KeyTaken(claim.owner);
    return { ticket };
  }
  if (device.state === 'stolen' || device.state === 'decommissioned') {
    throw new KeysteadError('device.blocked', { field: order.deviceId, seen: device.state });
  }
  requireSameWay(device, wayOf(order));
  const record = records.provisioningRecord(order.deviceId);
  const idevid = record === undefined ? undefined : records.certificate(record.issuer, record.serial);
  if (record === undefined || idevid === undefined || idevid.spkiSha256 !== claim.spkiSha256) {
    throw new KeysteadError('device.already-provisioned', {
      field: 'deviceId',
      seen: `${order.deviceId}, another key`,
    });
  }
  // A pass would be a lie: nobody takes this certificate.
  if (idevid.status !== 'good') {
    throw new KeysteadError('device.blocked', { field: order.deviceId, seen: `its certificate is ${idevid.status}` });
  }
  if (record.ticketId !== order.ticketId) {
    const seen = `${order.deviceId} by ticket ${record.ticketId}`;
    throw new KeysteadError('device.already-provisioned', { field: 'ticketId', seen });
  }
  return {
    certificate: idevid.der as DerCertificate,
    issuer: ownIssuer(record),
    serial: idevid.serial,
    notBefore: new Date(idevid.notBefore),
    notAfter: new Date(idevid.notAfter),
    record: record.record,
    signature: record.signature,
    auditSeq: record.auditSeq,
    repeated: true,
  };
}

async function signAndRecord(
  deps: ProvisioningDeps,
  order: UnitOrder,
  claim: KeyClaim,
  ticket: Ticket,
): Promise<Omit<ProvisionedUnit, 'repeated'>> {
  const { ticketId: _, alongside: _with, ...unit } = order;
  const signed = await deps.keyd.provision({ ...unit, ticket: ticket.text });
  const { auditSeq } = await deps.store.commit((tx) => recordUnit(tx, deps, { order, claim, ticket, signed }));
  const { certificate, issuer, serial, notBefore, notAfter, record, signature } = signed;
  return { certificate, issuer, serial, notBefore, notAfter, record, signature, auditSeq };
}

function recordUnit(
  tx: Tx,
  deps: ProvisioningDeps,
  v: { order: UnitOrder; claim: KeyClaim; ticket: Ticket; signed: Result<'provision'> },
): ProvisioningRecord {
  const { order, claim, ticket, signed } = v;
  const { deviceId, requestId, operator, line, station } = order;
  const now = deps.clock.now();
  const actor: AuditEvent['actor'] = { kind: 'operator', id: operator };
  const at = now.getTime();
  // Revoked while keyd signed: the signature is found in keyd's journal and put on the CRL.
  requireBatch(tx, ticket.ticketId);
  tx.insertDevice({
    deviceId,
    state: 'provisioned',
    model: ticket.model,
    ticketId: ticket.ticketId,
    idevidSerial: signed.serial,
    keyOrigin: signed.key.origin,
    readmittedAt: null,
    createdAt: at,
    changedAt: at,
  });
  deps.authority.records.record(tx, { claim, signed, subject: { deviceId }, actor, now });
  const recordSha256 = toHex(sha256(Buffer.from(signed.record, 'utf8')));
  const { seq } = deps.audit(tx, {
    type: 'device.provisioned',
    actor,
    requestId,
    outcome: 'done',
    subject: { device: deviceId, ticket: ticket.ticketId, serial: signed.serial },
    detail: {
      model: ticket.model,
      line,
      station,
      spkiSha256: signed.spkiSha256,
      recordSha256,
      ...keyDetail(signed.key),
    },
  });
  const row: ProvisioningRecord = {
    deviceId,
    ticketId: ticket.ticketId,
    issuer: signed.issuer,
    serial: signed.serial,
    record: signed.record,
    signature: signed.signature,
    auditSeq: seq,
    createdAt: at,
    exportedAt: null,
  };
  tx.insertProvisioningRecord(row);
  order.alongside?.(tx);
  return row;
}

/** A batch that was revoked gets no unit any more. @throws KeysteadError `ticket.revoked`. */
export function requireBatch(records: Reader, ticketId: string): void {
  if (records.meta(batchRevoked(ticketId)) === undefined) return;
  throw new KeysteadError('ticket.revoked', { field: 'ticketId', seen: ticketId });
}

/** @param what was asked for. */
export async function auditRefusal(
  deps: ProvisioningDeps,
  what: string,
  order: Omit<UnitOrder, 'csr' | 'attestation' | 'way' | 'at' | 'alongside'>,
  error: KeysteadError,
): Promise<void> {
  const { operator, requestId, deviceId, ticketId, line, station } = order;
  const owner: Record<string, string> = error instanceof KeyTaken ? { owner: error.owner } : {};
  await deps.refusals.refused({
    what,
    error,
    actor: { kind: 'operator', id: operator },
    requestId,
    subject: { device: deviceId.slice(0, 64).toWellFormed(), ticket: ticketId.slice(0, 64).toWellFormed() },
    detail: { line, station, ...owner },
  });
}
