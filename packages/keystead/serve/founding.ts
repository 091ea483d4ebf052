import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, fromPem, toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { issuerKeyId, type KeyPurposeId, OFFLINE_CAS, readChain, requestName } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { AppendAudit } from '../access/index.ts';
import type { AuditEvent } from '../audit/index.ts';
import type { Layout } from '../files/layout.ts';
import { enterKey, fromKeyd, fromMaster, moveKey, type NewKey, type Told } from '../inventory/index.ts';
import type { Result } from '../keyd-client/index.ts';
import type { Store } from '../store/index.ts';

/** What keyd says that the ceremony gave it, and the keys that it holds. */
export interface Founded {
  readonly certificates: Readonly<Record<string, DerCertificate>>;
  readonly evidenceSigner: DerCertificate;
  /** Every key of the CAs with its certificate. */
  readonly issuers: Result<'trust'>['issuers'];
  /** SHA-256 of the policy of the ceremony, hex. */
  readonly policySha256: string;
  readonly keyd: Result<'keys'>;
  /** Whether this is a factory node, which a commission founded. */
  readonly factory?: boolean;
}

const RECORDED = 'founding.recorded';
const INVENTORIED = 'founding.inventoried';
const SYSTEM: AuditEvent['actor'] = { kind: 'system', id: 'serve' };
const FOUNDING: Told = { actor: SYSTEM, reason: 'made for the ceremony', requestId: 'founding' };
/** Whoever keeps the safe: the ceremony's files say who was there. */
const SAFE = 'ceremony:safe';

/**
 * Writes the beginning into log and inventory, once and in one transaction: the ceremony that everything rests on, and
 * each key that was made for it. They happened before there was a log; it begins with them. In a deployment that is
 * older than the inventory, the keys are entered when this program first runs. REQ-KEY-AUD-01, REQ-KEY-POL-01
 */
export async function recordFounding(
  store: Store,
  audit: AppendAudit,
  layout: Layout,
  founded: Founded,
): Promise<void> {
  if (store.read((records) => records.meta(INVENTORIED)) !== undefined) return;
  const { policySha256 } = founded;
  const transcript = readIfThere(join(layout.ceremony, 'transcript.jsonl'));
  const keys = foundingKeys(founded, ceremonyOf(layout, transcript));
  await store.commit((tx) => {
    if (tx.meta(INVENTORIED) !== undefined) return;
    const first = tx.meta(RECORDED) === undefined;
    if (first) {
      audit(tx, {
        type: founded.factory ? 'factory.founded' : 'ceremony.imported',
        actor: SYSTEM,
        requestId: FOUNDING.requestId,
        outcome: 'done',
        subject: { policySha256 },
        detail: { transcriptSha256: transcript === undefined ? null : toHex(sha256(transcript)) },
      });
      tx.setMeta(RECORDED, policySha256);
    }
    for (const { key, destroyedAt } of keys) {
      enterKey(tx, audit, key, FOUNDING, first ? 'key.generated' : 'key.recorded');
      if (destroyedAt === undefined) continue;
      moveKey(
        tx,
        audit,
        key.id,
        { event: 'destroy', at: destroyedAt },
        { ...FOUNDING, reason: 'its one use was over' },
      );
    }
    tx.setMeta(INVENTORIED, policySha256);
  });
}

interface Founding {
  readonly key: NewKey;
  readonly destroyedAt?: number;
}

/** What the ceremony wrote down of its own keys. keyd has verified the transcript when it took the bundle over. */
interface Ceremony {
  /** When the key of a root was made, and where, by the role. */
  readonly roots: Readonly<Record<string, { readonly at: number; readonly custody: string }>>;
  readonly signer?: { readonly certificate: DerCertificate; readonly madeAt: number; readonly endedAt: number };
}

function ceremonyOf(layout: Layout, transcript: Uint8Array | undefined): Ceremony {
  if (transcript === undefined) return { roots: {} };
  const lines = readChain(transcript);
  const roots = lines
    .filter(({ step }) => step === 'root-key')
    .map(
      ({ time, detail }) => [String(detail.role), { at: Date.parse(time), custody: String(detail.custody) }] as const,
    );
  const made = lines.find(({ step }) => step === 'transcript-key');
  const ended = lines.find(({ step }) => step === 'end');
  const pem = readIfThere(join(layout.ceremony, 'transcript-signer.pem'));
  const [certificate] = pem === undefined ? [] : fromPem('CERTIFICATE', Buffer.from(pem).toString('latin1'));
  if (made === undefined || ended === undefined || certificate === undefined)
    return { roots: Object.fromEntries(roots) };
  return {
    roots: Object.fromEntries(roots),
    signer: {
      certificate: certificate as DerCertificate,
      madeAt: Date.parse(made.time),
      endedAt: Date.parse(ended.time),
    },
  };
}

function foundingKeys(
  { certificates, evidenceSigner, issuers, keyd }: Founded,
  { roots, signer }: Ceremony,
): Founding[] {
  const byKey = new Map(issuers.map(({ id, certificate }) => [issuerKeyId(id), certificate]));
  byKey.set(requestName('evidence'), evidenceSigner);
  const offline = OFFLINE_CAS.flatMap((role): Founding[] => {
    const der = certificates[role];
    if (der === undefined) return [];
    const { at, custody } = roots[role] ?? { at: readCertificate(der).notBefore.getTime(), custody: 'not recorded' };
    return [{ key: ceremonyKey(role, `${role}-ca`, der, at, custody) }];
  });
  const transcript =
    signer === undefined
      ? []
      : [
          {
            key: ceremonyKey('transcript-signer', 'transcript-signer', signer.certificate, signer.madeAt, 'memory'),
            destroyedAt: signer.endedAt,
          },
        ];
  const online = keyd.keys.map((key): Founding => {
    const der = byKey.get(key.id);
    const end = der === undefined ? null : readCertificate(der).notAfter.getTime();
    return { key: fromKeyd(key, end, der === undefined ? {} : certificateEvidence(der)) };
  });
  return [
    ...offline,
    ...transcript,
    ...online,
    ...keyd.masters.map((master): Founding => ({ key: fromMaster(master) })),
  ];
}

function ceremonyKey(id: string, purpose: KeyPurposeId, der: DerCertificate, at: number, custody: string): NewKey {
  const { spkiSha256, keyAlgorithm, notAfter } = readCertificate(der);
  return {
    ...{ id, spkiSha256, purpose, custody },
    algorithm: keyAlgorithm ?? 'unknown',
    fips140: 'not recorded',
    owner: SAFE,
    generatedAt: at,
    activatedAt: at,
    certificateEnd: notAfter.getTime(),
    evidence: certificateEvidence(der),
  };
}

function certificateEvidence(der: DerCertificate) {
  const { serial, notAfter } = readCertificate(der);
  return { serial, certSha256: certSha256(der), notAfter: notAfter.toISOString() };
}

const readIfThere = (path: string): Uint8Array | undefined => (existsSync(path) ? readFileSync(path) : undefined);
