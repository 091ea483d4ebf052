import { readFileSync } from 'node:fs';
import { GIVEN_REASONS } from '@keystead/core/lifecycle';
import { readCrl } from '@keystead/core/x509';
import type { AuditEvent } from '../audit/index.ts';
import type { Certificate } from '../store/index.ts';
import { changeAll, type FinalReason } from './certificate-changes.ts';
import type { CrlPublisher } from './crl.ts';
import { type AuthorityDeps, answeringIssuers } from './deps.ts';
import type { StatusListener } from './status.ts';

const RESTORE: AuditEvent['actor'] = { kind: 'system', id: 'restore' };

/**
 * After a restore: what stands on keyd's newest lists and is good by the records is revoked, or put on hold, in the
 * records as well, each with its audit entry. keyd's lists have what was revoked after the backup, where the restore was
 * given CRLs from the field; else OCSP would say good of what the CRL lists. REQ-KEY-REV-01, REQ-KEY-BAK-02
 */
export async function adoptListed(deps: AuthorityDeps, crls: CrlPublisher, changed: StatusListener): Promise<void> {
  const { store, audit, clock } = deps;
  for (const issuer of answeringIssuers(deps, clock.now())) {
    const latest = crls.latest(issuer);
    if (latest === undefined) continue;
    const found: { certificate: Certificate; act: 'revoke' | 'hold'; reason?: FinalReason; revokedAt: Date }[] = [];
    for (const [serial, { reason, revokedAt }] of readCrl(readFileSync(crls.pathOf(latest))).entries) {
      const certificate = store.read((records) => records.certificate(issuer, serial));
      if (certificate === undefined || certificate.status === 'revoked') continue;
      if (reason === 'certificateHold') found.push({ certificate, act: 'hold', revokedAt });
      else found.push({ certificate, act: 'revoke', reason: isFinal(reason) ? reason : 'unspecified', revokedAt });
    }
    if (found.length === 0) continue;
    const adopted = await store.commit((tx) =>
      found.flatMap(({ certificate, act, reason, revokedAt }) => {
        // A hold keeps its own time: keyd tells by it one that was released from one that is new.
        const now = act === 'hold' ? revokedAt : clock.now();
        return changeAll(tx, audit, {
          certificates: [certificate],
          act,
          reason,
          now,
          actor: RESTORE,
          requestId: 'restore',
        });
      }),
    );
    for (const { serial } of adopted) changed(issuer, serial);
  }
}

const isFinal = (reason: string | undefined): reason is FinalReason => GIVEN_REASONS.some((given) => given === reason);
