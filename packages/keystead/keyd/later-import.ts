import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DerCrl } from '@keystead/core/bytes';
import { sameBytes } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type CeremonyBundle, checkBundle, OFFLINE_CAS, ONLINE_CAS, transcriptRoot } from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { type CeremonyOutputs, readCeremony } from '../files/ceremony-outputs.ts';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { type CeremonyPins, type Hierarchy, loadHierarchy, pinsPath, readPins } from './hierarchy.ts';
import { type ImportOptions, requireEarnest, requireRoot, writeCertificates } from './import.ts';
import { becomeSole } from './single.ts';

/**
 * Takes over what a ceremony after the founding made: new CRLs of the roots, and new certificates of CAs for the keys
 * that they have. keyd must not run; it works with them when it starts again, and the CRLs are served at once. It needs
 * no key: what makes the bundle ours is the pinned root under which its transcript is signed, and the transcript of the
 * ceremony before, which it names. A CA that the root has revoked issues nothing more. Importing the same bundle again
 * changes nothing; an import that was cut short is finished by the next. REQ-KEY-GEN-02
 * @throws KeysteadError `keyd.not-ready`, `keyd.already-running`, `transcript.*`, `bundle.*`; nothing is written then.
 *   `bundle.change-planned` for a new key of a CA or of a root, which keyd cannot take over yet.
 */
export async function importLater(
  layout: Layout,
  clock: Clock,
  options: ImportOptions & { readonly from: string },
): Promise<CeremonyPins> {
  const pins = readPins(layout);
  if (pins === undefined) throw new KeysteadError('keyd.not-ready', { field: pinsPath(layout) });
  mkdirSync(layout.run, { recursive: true, mode: 0o700 });
  const right = await becomeSole(layout.run);
  try {
    const outputs = readCeremony(options.from);
    const { bundle, transcriptSha256 } = outputs;
    requireEarnest(bundle);
    requireRoot(bundle.certificates.root, options.rootSha256);
    if (bundle.ceremony !== 'founding' && (pins.later.at(-1)?.transcriptSha256 ?? '') === transcriptSha256) return pins;
    requireNext(outputs, pins);
    requirePinnedRoot(bundle, pins);
    const revoked = [...checkBundle(bundle, outputs.policy, clock.now())];
    requireSameKeys(bundle, pins, layout);
    return takeOver(layout, clock, outputs, { ...pins, revoked });
  } finally {
    right.release();
  }
}

/** The bundle follows the last one that was taken, and no other. */
function requireNext({ bundle }: CeremonyOutputs, pins: CeremonyPins): void {
  const last = pins.later.at(-1)?.transcriptSha256 ?? pins.transcriptSha256;
  const number = 1 + pins.later.length;
  const seen = `ceremony ${bundle.number}, after ceremony ${number}`;
  if (bundle.number <= number) throw new KeysteadError('bundle.older', { field: 'number', seen });
  if (bundle.number > number + 1) throw new KeysteadError('bundle.gap', { field: 'number', seen });
  if (bundle.previousTranscriptSha256 === last) return;
  throw new KeysteadError('bundle.foreign', {
    field: 'previousTranscriptSha256',
    seen: bundle.previousTranscriptSha256 ?? 'none',
  });
}

/** The root that vouches for the transcript is the pinned one, and neither root has another key. */
function requirePinnedRoot(bundle: CeremonyBundle, pins: CeremonyPins): void {
  const vouching = certSha256(transcriptRoot(bundle));
  if (vouching !== pins.certificates.root) {
    throw new KeysteadError('bundle.foreign', { field: 'certificates.root', seen: vouching });
  }
  for (const role of OFFLINE_CAS) {
    const seen = certSha256(bundle.certificates[role]);
    if (seen !== pins.certificates[role] || bundle.rollovers.some((rollover) => rollover.role === role)) {
      throw new KeysteadError('bundle.change-planned', { field: `certificates.${role}`, seen });
    }
  }
}

/** Only what the ceremony is held for has changed, and each CA keeps its key. */
function requireSameKeys(bundle: CeremonyBundle, pins: CeremonyPins, layout: Layout): void {
  const { certificates, evidenceSigner } = hierarchyOf(layout, pins, bundle);
  const changed = ONLINE_CAS.filter((role) => certSha256(bundle.certificates[role]) !== pins.certificates[role]);
  if (changed.length > (bundle.ceremony === 'intermediate' ? 1 : 0)) {
    throw new KeysteadError('bundle.change-unexpected', { field: 'certificates', seen: changed.join(', ') });
  }
  for (const role of changed) {
    const seen = readCertificate(bundle.certificates[role]).spkiSha256;
    if (seen === readCertificate(certificates[role]).spkiSha256) continue;
    throw new KeysteadError('bundle.change-planned', { field: `certificates.${role}`, seen: `key ${seen}` });
  }
  const evidence = spkiSha256(readCertificate(evidenceSigner).spki);
  if (bundle.evidenceSpkiSha256 !== evidence) {
    throw new KeysteadError('bundle.foreign', { field: 'evidenceSpkiSha256', seen: bundle.evidenceSpkiSha256 });
  }
  for (const role of OFFLINE_CAS) {
    const path = join(layout.crl, `${role}.crl`);
    if (existsSync(path)) requireNewerCrl(readFileSync(path) as Uint8Array as DerCrl, bundle, role);
  }
}

/**
 * The hierarchy that is pinned. An import that was cut short may have written the certificate of this very bundle
 * already, which the pins do not name yet: that one has passed the checks here before.
 */
function hierarchyOf(layout: Layout, pins: CeremonyPins, bundle: CeremonyBundle): Hierarchy {
  try {
    return loadHierarchy(layout);
  } catch (error) {
    if (!(error instanceof KeysteadError) || error.code !== 'bundle.altered') throw error;
    const certificates = { ...pins.certificates };
    for (const role of ONLINE_CAS) certificates[role] = certSha256(bundle.certificates[role]);
    return loadHierarchy(layout, { ...pins, certificates });
  }
}

/** What a root has revoked stays revoked, and its numbers go up. */
function requireNewerCrl(served: DerCrl, { crls, certificates }: CeremonyBundle, role: 'root' | 'signing-root'): void {
  const before = readCrl(served);
  // Whoever may write in the directory can put anything there; only what the root signed is held against the new one.
  if (!before.verify(certificates[role])) return;
  const next = readCrl(crls[role]);
  const field = `crls.${role}`;
  if (next.number < before.number || (next.number === before.number && !sameBytes(served, crls[role]))) {
    throw new KeysteadError('bundle.older', { field, seen: `CRL ${next.number}, after CRL ${before.number}` });
  }
  const gone = [...before.entries.keys()].find((serial) => !next.entries.has(serial));
  if (gone !== undefined) {
    throw new KeysteadError('bundle.change-unexpected', { field, seen: `serial ${gone} is not revoked any more` });
  }
}

function takeOver(layout: Layout, clock: Clock, outputs: CeremonyOutputs, pins: CeremonyPins): CeremonyPins {
  const { bundle, transcriptSha256 } = outputs;
  const certificates = { ...pins.certificates };
  for (const role of ONLINE_CAS) certificates[role] = certSha256(bundle.certificates[role]);
  const importedAt = clock.now().toISOString();
  const later = [...pins.later, { ceremony: bundle.ceremony, transcriptSha256, importedAt }];
  writeCertificates(layout, bundle);
  // Last: until then keyd refuses to start, and the same import finishes what was begun.
  const next: CeremonyPins = { ...pins, certificates, later };
  durableWrite(pinsPath(layout), `${JSON.stringify(next, null, 2)}\n`, 0o600);
  return next;
}
