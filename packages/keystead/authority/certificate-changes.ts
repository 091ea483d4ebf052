import type { Serial } from '@keystead/core/bytes';
import { type GivenReason, type ListedIssuer, nextStanding, type RevocationAct } from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import type { AppendAudit } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, Reader, Tx } from '../store/index.ts';
import { onlineIssuer } from './issued.ts';

/** A reason for good; a hold, which can be taken back, is another act. */
export type FinalReason = GivenReason;

/** A certificate as it stands after an act. */
export interface Standing {
  readonly issuer: ListedIssuer;
  readonly serial: Serial;
  readonly revokedAt: Date;
  readonly reason: RevocationReason;
}

interface Common {
  readonly certificates: readonly Certificate[];
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
  readonly now: Date;
}

/** What is done to certificates that were chosen. */
export interface Change extends Common {
  readonly act: RevocationAct;
  /** Of a revocation. */
  readonly reason?: FinalReason;
  readonly invalidityDate?: Date;
}

const EVENTS: Readonly<Record<RevocationAct, string>> = {
  revoke: 'certificate.revoked',
  hold: 'certificate.held',
  release: 'certificate.released',
};

/**
 * Carries out an act on each certificate, in the caller's transaction and each with its audit entry. What stands so
 * already is left as it is, and so is what is revoked for good. REQ-KEY-REV-01
 * @returns those that changed.
 */
export function changeAll(tx: Tx, audit: AppendAudit, change: Change): Certificate[] {
  return change.certificates.filter((certificate) => changeOne(tx, audit, certificate, change));
}

function changeOne(tx: Tx, audit: AppendAudit, certificate: Certificate, change: Change): boolean {
  if (certificate.status === 'revoked') return false;
  const { act, reason, invalidityDate, actor, requestId, now } = change;
  const next = nextStanding(certificate.status, act);
  if (next === certificate.status) return false;
  const issuer = onlineIssuer(certificate);
  const { serial, deviceId, operator, profile, notAfter } = certificate;
  const told = act === 'revoke' ? (reason ?? 'unspecified') : 'certificateHold';
  if (next === 'good') tx.setStatus(issuer, serial, 'good', null, null);
  else tx.setStatus(issuer, serial, next, now.getTime(), told, invalidityDate?.getTime() ?? null);
  const owner: Record<string, string> =
    deviceId === null ? (operator === null ? {} : { operator }) : { device: deviceId };
  audit(tx, {
    type: EVENTS[act],
    actor,
    requestId,
    outcome: 'done',
    subject: { issuer, serial, profile, ...owner },
    detail: {
      ...(act === 'release' ? {} : { reason: told }),
      notAfter: new Date(notAfter).toISOString(),
      ...(invalidityDate === undefined ? {} : { invalidityDate: invalidityDate.toISOString() }),
      ...(certificate.status === 'hold' ? { before: 'hold' } : {}),
    },
  });
  return true;
}

/** Revokes, in the caller's transaction, those that are not revoked, each with its audit entry. */
export function revokeAll(
  tx: Tx,
  audit: AppendAudit,
  v: Common & { readonly reason: FinalReason; readonly invalidityDate?: Date },
): Standing[] {
  changeAll(tx, audit, { ...v, act: 'revoke' });
  return standingsOf(tx, v.certificates);
}

/** How certificates stand now that are revoked or on hold. */
export const standingsOf = (records: Reader, certificates: readonly Certificate[]): Standing[] =>
  certificates.flatMap((certificate) => {
    const issuer = onlineIssuer(certificate);
    const { serial } = certificate;
    const row = records.statusOf(issuer, serial);
    if (row === undefined || row.revokedAt === null) return [];
    return [{ issuer, serial, revokedAt: new Date(row.revokedAt), reason: row.reason ?? 'unspecified' }];
  });

/** Blocks a device, in the caller's transaction: it gets no certificate any more. @returns whether it was not blocked. */
export function blockDevice(
  tx: Tx,
  audit: AppendAudit,
  v: Pick<Change, 'reason' | 'actor' | 'requestId' | 'now'> & { readonly deviceId: string },
): boolean {
  const { deviceId, actor, requestId, now, reason = 'unspecified' } = v;
  const device = tx.device(deviceId);
  if (device === undefined || device.state === 'stolen' || device.state === 'decommissioned') return false;
  tx.setDeviceState(deviceId, 'stolen', now.getTime());
  audit(tx, {
    type: 'device.stolen',
    actor,
    requestId,
    outcome: 'done',
    subject: { device: deviceId },
    detail: { before: device.state, reason },
  });
  return true;
}

/** Blocks a key for all time, in the caller's transaction. REQ-KEY-PROV-03 */
export function blockKey(
  tx: Tx,
  audit: AppendAudit,
  v: Pick<Change, 'actor' | 'requestId' | 'now'> & { readonly spkiSha256: Certificate['spkiSha256'] },
): boolean {
  const { spkiSha256, actor, requestId, now } = v;
  const use = tx.keyUse(spkiSha256);
  if (use?.compromisedAt !== undefined && use.compromisedAt !== null) return false;
  tx.compromiseKey(spkiSha256, now.getTime());
  audit(tx, {
    type: 'key.blocked',
    actor,
    requestId,
    outcome: 'done',
    subject: { spkiSha256, owner: use?.owner ?? 'nobody' },
    detail: { reason: 'keyCompromise' },
  });
  return true;
}

/** The certificates of a device that have not ended. */
export const inForce = (records: Reader, deviceId: string, now: Date): Certificate[] =>
  records.certificatesOfDevice(deviceId).filter(({ notAfter }) => notAfter >= now.getTime());
