import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, sameBytes } from '@keystead/core/bytes';
import { certSha256 } from '@keystead/core/crypto';
import { issuerKeyId } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { AppendAudit } from '../access/index.ts';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { enterKey, moveKey, syncKeyd, type Told } from '../inventory/index.ts';
import type { Result } from '../keyd-client/index.ts';
import type { Store, Tx } from '../store/index.ts';

type Trust = Result<'trust'>;
type Ceremony = Trust['later'][number];

/** How many later ceremonies stand in the log. */
const RECORDED = 'ceremonies.recorded';
const SYSTEM: Told['actor'] = { kind: 'system', id: 'ceremony' };
const SAFE = 'ceremony:safe';

/**
 * Writes the ceremonies after the founding into log and inventory, each once and each with what it changed in one
 * transaction: what was imported, which CAs the root has revoked, which key of a CA or of a root followed another, and
 * until when the certificates of the keys last now. REQ-KEY-AUD-01, REQ-KEY-POL-01
 */
export async function recordCeremonies(
  store: Store,
  audit: AppendAudit,
  trust: Trust,
  keyd: Result<'keys'>,
): Promise<void> {
  const recorded = (records: Pick<Tx, 'meta'>): number => Number(records.meta(RECORDED) ?? 0);
  if (store.read(recorded) >= trust.later.length) return;
  await store.commit((tx) => {
    const from = recorded(tx);
    if (from >= trust.later.length) return;
    for (const ceremony of trust.later.slice(from)) recordCeremony(tx, audit, trust, ceremony);
    syncKeyd(tx, audit, keyd);
    for (const { id, certificate } of trust.issuers) dateKey(tx, keyOf(keyd, issuerKeyId(id)), certificate);
    dateKey(tx, keyOf(keyd, 'evidence'), trust.evidenceSigner);
    tx.setMeta(RECORDED, String(trust.later.length));
  });
}

function recordCeremony(tx: Tx, audit: AppendAudit, trust: Trust, ceremony: Ceremony): void {
  const { number, ceremony: kind, transcriptSha256, importedAt, offline, witnesses, revoked } = ceremony;
  const requestId = `ceremony-${number}`;
  const before = trust.later.find((one) => one.number === number - 1)?.revoked ?? [];
  const fresh = revoked.filter((issuer) => !before.includes(issuer));
  audit(tx, {
    type: 'ceremony.imported',
    actor: SYSTEM,
    requestId,
    outcome: 'done',
    subject: { ceremony: kind, number },
    detail: {
      transcriptSha256,
      importedAt: importedAt.toISOString(),
      offline,
      witnesses: witnesses.join(', '),
      revoked: revoked.join(' '),
    },
  });
  for (const issuer of fresh) {
    audit(tx, {
      type: 'ca.revoked',
      actor: SYSTEM,
      requestId,
      outcome: 'done',
      subject: { issuer },
      detail: { transcriptSha256 },
    });
  }
  const told: Told = { actor: SYSTEM, reason: `ceremony ${number}: ${kind}`, requestId };
  for (const rollover of trust.rollovers) {
    if (rollover.importedAt.getTime() === importedAt.getTime()) recordRollover(tx, audit, trust, rollover, told);
  }
}

/** The new key of a root in the inventory, and the old one with its successor. */
function recordRollover(
  tx: Tx,
  audit: AppendAudit,
  trust: Trust,
  rollover: Trust['rollovers'][number],
  told: Told,
): void {
  const { role, certificates, next, until } = rollover;
  const old = tx.keyBySpki(readCertificate(certificates.old).spkiSha256);
  const following = trust.rollovers.find((later) => later.role === role && later.old === next);
  const fresh = following?.certificates.old ?? trust.certificates[role];
  const { spkiSha256, keyAlgorithm, notAfter, notBefore } = readCertificate(fresh);
  const at = Math.max(notBefore.getTime(), old?.generatedAt ?? 0);
  const row =
    tx.keyBySpki(spkiSha256) ??
    enterKey(
      tx,
      audit,
      {
        id: next.replace('.', '-'),
        spkiSha256,
        purpose: `${role}-ca`,
        algorithm: keyAlgorithm ?? 'unknown',
        custody: old?.custody ?? 'not recorded',
        fips140: old?.fips140 ?? 'not recorded',
        owner: SAFE,
        generatedAt: at,
        activatedAt: at,
        certificateEnd: notAfter.getTime(),
        evidence: certificateEvidence(fresh),
      },
      told,
    );
  audit(tx, {
    type: 'root.rolled-over',
    actor: SYSTEM,
    requestId: told.requestId,
    outcome: 'done',
    subject: { root: role, old: rollover.old, next },
    detail: {
      oldSha256: certSha256(certificates.old),
      nextSha256: certSha256(fresh),
      newWithOldSha256: certSha256(certificates.newWithOld),
      oldWithNewSha256: certSha256(certificates.oldWithNew),
      oldIsAnchorUntil: until.toISOString(),
    },
  });
  if (old === undefined) return;
  tx.setSuccessor(old.id, row.id);
  if (old.state !== 'active' && old.state !== 'suspended') return;
  moveKey(tx, audit, old.id, { event: 'deactivate', at: rollover.importedAt.getTime() }, told);
}

const keyOf = ({ keys }: Result<'keys'>, id: string) => keys.find((key) => key.id === id);

/** A key's row says until when the newest certificate for it lasts. */
export function dateKey(tx: Tx, key: Result<'keys'>['keys'][number] | undefined, certificate: DerCertificate): void {
  const row = key === undefined ? undefined : tx.keyBySpki(key.spkiSha256);
  if (row === undefined) return;
  const evidence = { ...(JSON.parse(row.evidence) as object), ...certificateEvidence(certificate) };
  tx.setKeyCertificate(row.id, readCertificate(certificate).notAfter.getTime(), JSON.stringify(evidence));
}

function certificateEvidence(der: DerCertificate) {
  const { serial, notAfter } = readCertificate(der);
  return { serial, certSha256: certSha256(der), notAfter: notAfter.toISOString() };
}

/** Puts the CRLs of the roots where they are served from, where an import could not, or was cut short. */
export function putRootCrls(layout: Layout, { rootCrls }: Trust): void {
  for (const { id, crl } of rootCrls) {
    const path = join(layout.crl, `${id}.crl`);
    if (existsSync(path) && sameBytes(readFileSync(path), crl)) continue;
    durableWrite(path, crl, 0o644);
  }
}
