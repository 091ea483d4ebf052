import { readFileSync } from 'node:fs';
import { ONLINE_CAS } from '@keystead/core/lifecycle';
import { readCrl } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate } from '../store/index.ts';
import type { CrlPublisher } from './crl.ts';
import type { AuthorityDeps } from './deps.ts';
import { type FinalReason, revokeAll } from './revocation.ts';
import type { StatusListener } from './status.ts';

const RESTORE: AuditEvent['actor'] = { kind: 'system', id: 'restore' };

/**
 * After a restore: what stands on keyd's newest lists and is good by the records is revoked in the records as well,
 * each with its audit entry. keyd's lists have what was revoked after the backup, where the restore was given CRLs from
 * the field; else OCSP would say good of what the CRL lists. REQ-KEY-REV-01, REQ-KEY-BAK-02
 */
export async function adoptListed(deps: AuthorityDeps, crls: CrlPublisher, changed: StatusListener): Promise<void> {
  const { store, audit, clock } = deps;
  for (const issuer of ONLINE_CAS) {
    const latest = crls.latest(issuer);
    if (latest === undefined) continue;
    const byReason = new Map<FinalReason, Certificate[]>();
    for (const [serial, { reason }] of readCrl(readFileSync(crls.pathOf(latest))).entries) {
      const certificate = store.read((records) => records.certificate(issuer, serial));
      if (certificate?.status !== 'good') continue;
      const final = isFinal(reason) ? reason : 'unspecified';
      byReason.set(final, [...(byReason.get(final) ?? []), certificate]);
    }
    for (const [reason, certificates] of byReason) {
      const order = { certificates, reason, actor: RESTORE, requestId: 'restore', now: clock.now() };
      await store.commit((tx) => revokeAll(tx, audit, order));
      for (const { serial } of certificates) changed(issuer, serial);
    }
  }
}

const isFinal = (reason: string | undefined): reason is FinalReason =>
  reason !== undefined && reason !== 'certificateHold' && reason !== 'removeFromCRL' && reason !== 'aACompromise';
