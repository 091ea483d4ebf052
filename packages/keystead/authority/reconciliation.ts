import type { Serial } from '@keystead/core/bytes';
import type { IssuerId } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { Result } from '../keyd-client/index.ts';
import type { Tx } from '../store/index.ts';
import type { AuthorityDeps } from './deps.ts';
import type { CertificateRecords } from './issued.ts';

type JournalEntry = Result<'journal'>['certificates'][number];

/** Where in keyd's journal the records have caught up. */
const WATERMARK = 'keyd.journal.next';
const PAGE = 2000;
/** What keyd makes for itself and never gives to anybody who could lose it. */
const OWN_PROFILES = new Set(['ocsp-responder', 'evidence-signer', 'tsa-signer']);
/** Whose a key is, by the profile of its certificate and the name in the journal. */
const OWNERS: Readonly<Record<string, string>> = { idevid: 'device', ldevid: 'device', operator: 'operator' };

export interface Reconciled {
  /** What keyd signed and never came into the records; it is on the way to the CRL. */
  readonly abandoned: readonly { readonly issuer: IssuerId; readonly serial: Serial; readonly subject: string }[];
}

/**
 * Compares keyd's journal with the records and repairs what a crash, a full disk or a lost connection left between
 * them: a signature that nobody was given is audited and revoked. It can run at any time: what is under way is left
 * alone, and looked at again.
 * @throws KeysteadError of keyd or of the store; it then goes on from where it came to when it is called again.
 */
export async function reconcile(deps: AuthorityDeps, records: CertificateRecords): Promise<Reconciled> {
  const abandoned: { issuer: IssuerId; serial: Serial; subject: string }[] = [];
  let from = Number(deps.store.read((reader) => reader.meta(WATERMARK)) ?? 0);
  let complete = true;
  for (;;) {
    const page = await deps.keyd.journal({ from, limit: PAGE });
    const done = await deps.store.commit((tx) => {
      const found = page.certificates.map((entry) => settle(tx, deps, records, entry));
      complete &&= !found.includes('under-way');
      if (complete && page.next !== from) tx.setMeta(WATERMARK, String(page.next));
      return page.certificates.filter((_entry, index) => found[index] === 'abandoned');
    });
    abandoned.push(...done.map(({ issuer, serial, subject }) => ({ issuer, serial, subject })));
    if (page.end || page.next === from) break;
    from = page.next;
  }
  return { abandoned };
}

/** Records the certificate of the evidence key, which keyd makes at an import and writes in no journal. */
export async function recordEvidenceSigner(deps: AuthorityDeps): Promise<void> {
  const { evidenceSigner, issuers, factory } = await deps.keyd.trust();
  // That of a factory node is by headquarters, and stands in its records.
  if (factory !== undefined) return;
  const { serial, spkiSha256, notBefore, notAfter } = readCertificate(evidenceSigner);
  const issuer = issuers.find(({ ca, current }) => ca === 'server' && current)?.id ?? 'server';
  if (deps.store.read((reader) => reader.journalCertificate(issuer, serial)) !== undefined) return;
  const made = { issuer, serial, profile: 'evidence-signer', subject: 'keyd', spkiSha256, notBefore, notAfter };
  const entry: JournalEntry = { ...made, time: notBefore, requestId: 'import' };
  await deps.store.commit((tx) => recordOwn(tx, deps, entry, deps.clock.now()));
}

function settle(
  tx: Tx,
  deps: AuthorityDeps,
  records: CertificateRecords,
  entry: JournalEntry,
): 'known' | 'under-way' | 'own' | 'abandoned' {
  const { issuer, serial, profile, subject, spkiSha256, notBefore, notAfter, requestId } = entry;
  if (tx.certificate(issuer, serial) !== undefined) return 'known';
  if (tx.journalCertificate(issuer, serial) !== undefined) return 'known';
  const now = deps.clock.now();
  if (OWN_PROFILES.has(profile)) {
    recordOwn(tx, deps, entry, now);
    return 'own';
  }
  if (deps.claims.underWay(requestId)) return 'under-way';
  const owner = `${OWNERS[profile] ?? 'system'}:${subject}`;
  records.abandon(tx, {
    claim: { spkiSha256, owner, profile, csrSha256: '', requestId },
    signed: { issuer, spkiSha256, serial, notBefore, notAfter },
    subject: owner,
    why: 'signed and never recorded',
    signedAt: entry.time,
    now,
  });
  return 'abandoned';
}

function recordOwn(tx: Tx, { audit }: AuthorityDeps, entry: JournalEntry, now: Date): void {
  const { issuer, serial, profile, subject, spkiSha256, notAfter, requestId, time } = entry;
  tx.insertJournalCertificate({
    issuer,
    serial,
    profile,
    subject,
    spkiSha256,
    notAfter: notAfter.getTime(),
    requestId,
    signedAt: time.getTime(),
    fate: 'own',
    foundAt: now.getTime(),
  });
  audit(tx, {
    type: 'keyd.certificate-made',
    actor: { kind: 'system', id: 'keyd' },
    requestId,
    outcome: 'done',
    subject: { owner: 'keyd', profile, issuer, serial },
    detail: { spkiSha256, signedAt: time.toISOString(), notAfter: notAfter.toISOString() },
  });
}
