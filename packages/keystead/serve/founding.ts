import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import type { AppendAudit } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Layout } from '../files/layout.ts';
import type { Store } from '../store/index.ts';

/** What keyd says that the ceremony gave it. */
export interface Founded {
  readonly certificates: Readonly<Record<string, DerCertificate>>;
  readonly evidenceSigner: DerCertificate;
  /** SHA-256 of the policy of the ceremony, hex. */
  readonly policySha256: string;
}

const RECORDED = 'founding.recorded';
const SYSTEM: AuditEvent['actor'] = { kind: 'system', id: 'serve' };

/**
 * Writes the beginning into the log, once: the ceremony that everything rests on, and each key that was generated for
 * it, by its fingerprint. They happened before there was a log; it begins with them. REQ-KEY-AUD-01
 */
export async function recordFounding(
  store: Store,
  audit: AppendAudit,
  layout: Layout,
  founded: Founded,
): Promise<void> {
  if (store.read((records) => records.meta(RECORDED)) !== undefined) return;
  const { policySha256 } = founded;
  const transcript = join(layout.ceremony, 'transcript.jsonl');
  const events: AuditEvent[] = [
    {
      type: 'ceremony.imported',
      actor: SYSTEM,
      requestId: 'founding',
      outcome: 'done',
      subject: { policySha256 },
      detail: { transcriptSha256: existsSync(transcript) ? toHex(sha256(readFileSync(transcript))) : null },
    },
    ...Object.entries(founded.certificates).map(([role, der]) => keyEvent(role, der)),
    keyEvent('evidence-signer', founded.evidenceSigner),
  ];
  await store.commit((tx) => {
    if (tx.meta(RECORDED) !== undefined) return;
    for (const event of events) audit(tx, event);
    tx.setMeta(RECORDED, policySha256);
  });
}

const LATER_RECORDED = 'ceremony.recorded';

/** Enters each later ceremony that keyd has imported and that the log does not know yet. REQ-KEY-AUD-01 */
export async function recordLaterCeremonies(
  store: Store,
  audit: AppendAudit,
  later: readonly { number: number; ceremony: string; transcriptSha256: string }[],
): Promise<void> {
  await store.commit((tx) => {
    const known = Number(tx.meta(LATER_RECORDED) ?? 1);
    for (const { number, ceremony, transcriptSha256 } of later) {
      if (number <= known) continue;
      audit(tx, {
        type: 'ceremony.imported',
        actor: SYSTEM,
        requestId: `ceremony-${number}`,
        outcome: 'done',
        subject: { transcriptSha256 },
        detail: { number, ceremony },
      });
      tx.setMeta(LATER_RECORDED, String(number));
    }
  });
}

function keyEvent(role: string, der: DerCertificate): AuditEvent {
  const { serial, spkiSha256, keyAlgorithm, notAfter } = readCertificate(der);
  const offline = role === 'root' || role === 'signing-root';
  return {
    type: 'key.generated',
    actor: SYSTEM,
    requestId: 'founding',
    outcome: 'done',
    subject: { key: role, spkiSha256 },
    detail: {
      algorithm: keyAlgorithm ?? null,
      custody: offline ? 'offline, sealed file of the ceremony' : 'keyd, sealed file',
      serial,
      certSha256: certSha256(der),
      notAfter: notAfter.toISOString(),
    },
  };
}
