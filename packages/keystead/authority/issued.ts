import type { DerCertificate, Serial, SpkiSha256 } from '@keystead/core/bytes';
import { certSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type IssuerId,
  isIssuerId,
  isListedIssuer,
  type ListedIssuer,
  type Policy,
  profileOf,
} from '@keystead/core/lifecycle';
import { formatName, type Named, namesFor } from '@keystead/core/x509';
import type { AppendAudit } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate, Tx } from '../store/index.ts';
import { type KeyClaim, KeyTaken, keyVerdict } from './key-claims.ts';

/** A certificate as keyd gave it out. */
export interface Signed {
  readonly certificate: DerCertificate;
  /** The key of the CA that signed it. */
  readonly issuer: IssuerId;
  readonly spkiSha256: SpkiSha256;
  readonly serial: Serial;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A certificate that is recorded, and so may be given to whom it is for. */
export interface Issued {
  readonly certificate: DerCertificate;
  readonly issuer: IssuerId;
  readonly serial: Serial;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Whether it is the one that was already issued for this very request. */
  readonly repeated: boolean;
}

/** For whom a certificate is, in the two forms in which the records hold it. */
export interface Subject extends Named {
  readonly deviceId?: string;
  readonly person?: string;
}

/** Writes what was signed into the records, and forgets nothing of what may not be given out. */
export class CertificateRecords {
  readonly #audit: AppendAudit;
  /** The policy in force is looked up each time: it may change. */
  readonly #deps: { readonly policy: Policy };

  constructor(deps: { readonly audit: AppendAudit; readonly policy: Policy }) {
    this.#audit = deps.audit;
    this.#deps = deps;
  }

  /**
   * Records a certificate and its audit entry, in the caller's transaction, after looking once more whether the key
   * is still free. REQ-KEY-PROV-03
   * @throws KeyTaken
   */
  record(
    tx: Tx,
    v: {
      claim: KeyClaim;
      signed: Signed;
      subject: Subject;
      actor: AuditEvent['actor'];
      now: Date;
      /** What else the audit entry tells. */
      detail?: AuditEvent['detail'];
    },
  ): { certificate: Certificate & { issuer: IssuerId }; auditSeq: number } {
    const { claim, signed, subject, now } = v;
    const verdict = keyVerdict(tx, claim);
    if (verdict.kind !== 'free') throw new KeyTaken(verdict.kind === 'taken' ? verdict.owner : claim.owner);
    const { issuer } = signed;
    const key = { spkiSha256: claim.spkiSha256, issuer, serial: signed.serial };
    if (verdict.use === undefined) tx.insertKeyUse({ ...key, owner: claim.owner, firstSeen: now.getTime() });
    else tx.certifyKey(key.spkiSha256, issuer, signed.serial);
    const certificate: Certificate & { issuer: IssuerId } = {
      ...key,
      profile: claim.profile,
      subject: formatName(namesFor(profileOf(this.#deps.policy, claim.profile), subject).subject),
      deviceId: subject.deviceId ?? null,
      operator: subject.person ?? null,
      notBefore: signed.notBefore.getTime(),
      notAfter: signed.notAfter.getTime(),
      der: signed.certificate,
      certSha256: certSha256(signed.certificate),
      status: 'good',
      revokedAt: null,
      reason: null,
      requestId: claim.requestId,
      csrSha256: claim.csrSha256,
      issuedAt: now.getTime(),
    };
    tx.insertCertificate(certificate);
    const { seq } = this.#audit(tx, {
      type: 'certificate.issued',
      actor: v.actor,
      requestId: claim.requestId,
      outcome: 'done',
      subject: { owner: claim.owner, profile: claim.profile, issuer, serial: signed.serial },
      detail: {
        spkiSha256: claim.spkiSha256,
        certSha256: certificate.certSha256,
        notAfter: signed.notAfter.toISOString(),
        ...v.detail,
      },
    });
    return { certificate, auditSeq: seq };
  }

  /**
   * Records, in the caller's transaction, that keyd signed something that is given to nobody: it goes on the CRL,
   * and its key stays with its owner, who may ask again.
   */
  abandon(
    tx: Tx,
    v: {
      claim: KeyClaim;
      signed: Omit<Signed, 'certificate'>;
      subject: string;
      why: string;
      signedAt: Date;
      now: Date;
    },
  ): void {
    const { claim, signed, now } = v;
    const { issuer } = signed;
    tx.insertJournalCertificate({
      issuer,
      serial: signed.serial,
      profile: claim.profile,
      subject: v.subject,
      spkiSha256: signed.spkiSha256,
      notAfter: signed.notAfter.getTime(),
      requestId: claim.requestId,
      signedAt: v.signedAt.getTime(),
      fate: 'abandoned',
      foundAt: now.getTime(),
    });
    if (tx.keyUse(signed.spkiSha256) === undefined) {
      const { spkiSha256 } = signed;
      tx.insertKeyUse({ spkiSha256, owner: claim.owner, issuer: null, serial: null, firstSeen: now.getTime() });
    }
    this.#audit(tx, {
      type: 'certificate.abandoned',
      actor: { kind: 'system', id: 'authority' },
      requestId: claim.requestId,
      outcome: 'done',
      subject: { owner: claim.owner, profile: claim.profile, issuer, serial: signed.serial },
      detail: { spkiSha256: signed.spkiSha256, why: v.why },
    });
  }
}

/**
 * The issuer of a certificate that the records hold.
 * @throws KeysteadError `certificate.unknown` for one of an offline CA: those are revoked in a ceremony.
 */
export function onlineIssuer({ issuer, serial }: Pick<Certificate, 'issuer' | 'serial'>): ListedIssuer {
  if (isListedIssuer(issuer)) return issuer;
  throw new KeysteadError('certificate.unknown', { field: 'issuer', seen: `${issuer} ${serial}` });
}

/** The same of what a CA of headquarters issued. @throws KeysteadError `certificate.unknown`. */
export function ownIssuer({ issuer, serial }: Pick<Certificate, 'issuer' | 'serial'>): IssuerId {
  if (isIssuerId(issuer)) return issuer;
  throw new KeysteadError('certificate.unknown', { field: 'issuer', seen: `${issuer} ${serial}` });
}

/** A recorded certificate as it is given out. */
export const issuedOf = (record: Certificate, issuer: Issued['issuer']): Omit<Issued, 'repeated'> => ({
  certificate: record.der as DerCertificate,
  issuer,
  serial: record.serial,
  notBefore: new Date(record.notBefore),
  notAfter: new Date(record.notAfter),
});
