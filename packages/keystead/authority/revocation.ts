import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { IssuerId } from '@keystead/core/lifecycle';
import type { RevocationReason } from '@keystead/core/x509';
import type { AppendAudit } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, Reader, Tx } from '../store/index.ts';
import type { CrlPublisher } from './crl.ts';
import type { AuthorityDeps } from './deps.ts';
import { onlineIssuer } from './issued.ts';
import type { StatusListener } from './status.ts';
import { requireClock } from './time.ts';

/** A reason for good; a hold, which can be taken back, is another act. */
export type FinalReason = Exclude<RevocationReason, 'certificateHold'>;

/** What is to be revoked: one certificate, or all that a device has. */
export type Selector =
  | { readonly serial: Serial; readonly issuer?: IssuerId }
  | { readonly spkiSha256: SpkiSha256 }
  | { readonly deviceId: string };

export interface RevocationOrder {
  readonly selector: Selector;
  readonly reason: FinalReason;
  readonly actor: AuditEvent['actor'];
  readonly requestId: string;
}

export interface Revoked {
  /** Every certificate that is now revoked, also those that were before. */
  readonly certificates: readonly { issuer: IssuerId; serial: Serial; revokedAt: Date; reason: RevocationReason }[];
  /** Whether a CRL with all of them is published; when not, it is tried again until it is. */
  readonly onCrl: boolean;
}

/** Takes certificates out of service. OCSP says so from the COMMIT on, the CRL is made at once. REQ-KEY-REV-01 */
export class Revocation {
  readonly #deps: AuthorityDeps;
  readonly #crls: CrlPublisher;
  readonly #changed: StatusListener;

  /** @param changed called after the COMMIT of every change of status, before the answer. */
  constructor(deps: AuthorityDeps, crls: CrlPublisher, changed: StatusListener) {
    this.#deps = deps;
    this.#crls = crls;
    this.#changed = changed;
  }

  /**
   * Revokes what `selector` names. For a device that is all it has, and it counts as stolen from then on: it gets no
   * certificate any more. To revoke again what is revoked changes nothing.
   * @throws KeysteadError `certificate.unknown`, `device.unknown`, `revocation.final` (audited); `store.*`,
   *   `clock.went-back`. Where keyd is away the revocation stands, and `onCrl` is false.
   */
  async revoke(order: RevocationOrder): Promise<Revoked> {
    const { actor, requestId } = order;
    try {
      requireClock(this.#deps);
      const certificates = await this.#deps.store.commit((tx) => this.#inTransaction(tx, order));
      for (const { issuer, serial } of certificates) this.#changed(issuer, serial);
      return { certificates, onCrl: await this.publish(certificates.map(({ issuer }) => issuer)) };
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') {
        await this.#deps.refusals.refused({
          what: 'revoke',
          error,
          actor,
          requestId,
          subject: subjectOf(order.selector),
        });
      }
      throw error;
    }
  }

  /** Publishes the CRLs of these issuers. @returns whether all of them are out. */
  async publish(issuers: readonly IssuerId[]): Promise<boolean> {
    const made = await Promise.allSettled([...new Set(issuers)].map((issuer) => this.#crls.publish(issuer)));
    return made.every(({ status }) => status === 'fulfilled');
  }

  #inTransaction(tx: Tx, order: RevocationOrder): Revoked['certificates'] {
    const { selector, reason, actor, requestId } = order;
    const now = this.#deps.clock.now();
    if (!('deviceId' in selector)) {
      const certificate = findOne(tx, selector);
      if (certificate.status === 'revoked' && certificate.reason !== reason) {
        throw new KeysteadError('revocation.final', { field: 'reason', seen: `${certificate.reason}, then ${reason}` });
      }
      return revokeAll(tx, this.#deps.audit, { certificates: [certificate], reason, actor, requestId, now });
    }
    const device = tx.device(selector.deviceId);
    if (device === undefined) throw new KeysteadError('device.unknown', { field: 'deviceId', seen: selector.deviceId });
    if (device.state !== 'stolen' && device.state !== 'decommissioned') {
      tx.setDeviceState(device.deviceId, 'stolen', now.getTime());
      this.#deps.audit(tx, {
        type: 'device.stolen',
        actor,
        requestId,
        outcome: 'done',
        subject: { device: device.deviceId },
        detail: { before: device.state, reason },
      });
    }
    const certificates = inForce(tx, selector.deviceId, now);
    return revokeAll(tx, this.#deps.audit, { certificates, reason, actor, requestId, now });
  }
}

const subjectOf = (selector: Selector): Record<string, string> =>
  Object.fromEntries(Object.entries(selector).filter(([, value]) => value !== undefined));

/** The certificates of a device that have not ended. */
export const inForce = (records: Reader, deviceId: string, now: Date): Certificate[] =>
  records.certificatesOfDevice(deviceId).filter(({ notAfter }) => notAfter >= now.getTime());

/** Revokes, in the caller's transaction, those that are not revoked, each with its audit entry. */
export function revokeAll(
  tx: Tx,
  audit: AppendAudit,
  v: {
    certificates: readonly Certificate[];
    reason: FinalReason;
    actor: AuditEvent['actor'];
    requestId: string;
    now: Date;
  },
): Revoked['certificates'] {
  const { reason, actor, requestId, now } = v;
  return v.certificates.map((certificate) => {
    const { serial, deviceId, operator, profile, notAfter } = certificate;
    const issuer = onlineIssuer(certificate);
    if (certificate.status === 'revoked') {
      const { revokedAt, reason: first } = certificate;
      return { issuer, serial, revokedAt: new Date(revokedAt ?? 0), reason: first ?? 'unspecified' };
    }
    tx.setStatus(issuer, serial, 'revoked', now.getTime(), reason);
    const owner: Record<string, string> =
      deviceId === null ? (operator === null ? {} : { operator }) : { device: deviceId };
    audit(tx, {
      type: 'certificate.revoked',
      actor,
      requestId,
      outcome: 'done',
      subject: { issuer, serial, profile, ...owner },
      detail: { reason, notAfter: new Date(notAfter).toISOString() },
    });
    return { issuer, serial, revokedAt: now, reason };
  });
}

function findOne(records: Reader, selector: Exclude<Selector, { deviceId: string }>): Certificate {
  if ('spkiSha256' in selector) {
    const use = records.keyUse(selector.spkiSha256);
    const found =
      use === undefined || use.issuer === null || use.serial === null
        ? undefined
        : records.certificate(use.issuer, use.serial);
    if (found !== undefined) return found;
    throw new KeysteadError('certificate.unknown', { field: 'spkiSha256', seen: selector.spkiSha256 });
  }
  const { serial, issuer } = selector;
  const [found] = records.certificatesBySerial(serial).filter((one) => issuer === undefined || one.issuer === issuer);
  if (found === undefined) throw new KeysteadError('certificate.unknown', { field: 'serial', seen: serial });
  return found;
}
