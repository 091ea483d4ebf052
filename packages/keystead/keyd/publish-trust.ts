import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import {
  allGenerations,
  type CeremonyBundle,
  OFFLINE_CAS,
  ONLINE_CAS,
  parseBundle,
  rootCrlsOf,
} from '@keystead/core/lifecycle';
import { durableWrite, removeUnfinished } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import {
  type CeremonyPins,
  ceremonyCopy,
  crlSignerFile,
  firmwareFile,
  formerEvidenceFile,
  formerFile,
  pinsPath,
  rolloverFiles,
  trustFile,
} from './hierarchy.ts';

/** Files of keyd's own beside its copy of a ceremony: certificates of the evidence key that it made with it. */
export const EVIDENCE_COPY = 'evidence-signer.pem';
export const FORMER_EVIDENCE_COPY = 'evidence-signer-former.pem';

const pem = (der: DerCertificate): string => toPem('CERTIFICATE', der);
const put = (path: string, der: DerCertificate): void => replace(path, pem(der), 0o644);

/** Whoever may import or start is alone: what lies beside the file was left by one that was killed. */
function replace(path: string, content: Uint8Array | string, mode: number): void {
  removeUnfinished(path);
  durableWrite(path, content, mode);
}

export const writePins = (layout: Layout, pins: CeremonyPins): void =>
  replace(pinsPath(layout), `${JSON.stringify(pins, null, 2)}\n`, 0o600);

/** The bundle of the last later ceremony, from keyd's own copy; undefined where there is none. */
export function lastBundle(layout: Layout, { later }: CeremonyPins): CeremonyBundle | undefined {
  const path = join(ceremonyCopy(layout, later.length + 1), 'bundle.json');
  return later.length === 0 || !existsSync(path) ? undefined : parseBundle(readFileSync(path));
}

/** Puts the certificates of a bundle where everyone reads them. */
export function publishCertificates(layout: Layout, bundle: CeremonyBundle): void {
  const { certificates, rollovers } = bundle;
  mkdirSync(layout.trust, { recursive: true, mode: 0o700 });
  for (const role of [...OFFLINE_CAS, ...ONLINE_CAS]) put(trustFile(layout, role), certificates[role]);
  const former = allGenerations(bundle).filter(({ current }) => !current);
  for (const { issuer, newest } of former) put(formerFile(layout, issuer), newest);
  const generations = { root: 0, 'signing-root': 0 };
  const across: DerCertificate[] = [];
  for (const { role, old, newWithOld, oldWithNew } of rollovers) {
    generations[role] += 1;
    const files = rolloverFiles(layout, role, generations[role]);
    put(files.old, old);
    put(files.newWithOld, newWithOld);
    put(files.oldWithNew, oldWithNew);
    if (role === 'root') across.push(newWithOld, oldWithNew);
  }
  for (const { key, certificate } of bundle.firmware ?? []) put(firmwareFile(layout, key), certificate);
  if (bundle.crlSigner !== undefined) put(crlSignerFile(layout), bundle.crlSigner);
  // What a relying party needs between a leaf and whichever root it knows; the signing root is another tree.
  const chain = [
    ...ONLINE_CAS.map((role) => certificates[role]),
    ...former.map(({ newest }) => newest),
    ...across,
    certificates.root,
  ];
  replace(join(layout.trust, 'ca-chain.pem'), chain.map(pem).join(''), 0o644);
  // What documents of before are verified by. Where nothing was replaced yet, there is no such file.
  const earlier = bundle.earlier.map(({ certificate }) => pem(certificate)).join('');
  if (earlier !== '') replace(join(layout.trust, 'earlier-cas.pem'), earlier, 0o644);
}

/**
 * Puts the CRLs of the roots where they are served from, each under the name of its key. Where the directory is another
 * user's, that user's serve does it when it starts.
 */
export function publishRootCrls(layout: Layout, bundle: CeremonyBundle): void {
  try {
    mkdirSync(layout.crl, { recursive: true, mode: 0o700 });
    for (const { id, crl } of rootCrlsOf(bundle)) durableWrite(join(layout.crl, `${id}.crl`), crl, 0o644);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error;
  }
}

/**
 * Ends an import that was cut short after its pins were written: from then on the new state is the one that holds, and
 * `trust/` is made to say so from keyd's own copy of the ceremony. The CRLs of the roots are put in place by serve, whose
 * directory theirs is, when it starts.
 * @returns the pins, of which nothing is under way any more.
 */
export function finishPublishing(layout: Layout, pins: CeremonyPins): CeremonyPins {
  if (!pins.publishing) return pins;
  const bundle = lastBundle(layout, pins);
  if (bundle !== undefined) {
    publishCertificates(layout, bundle);
    const copy = ceremonyCopy(layout, pins.later.length + 1);
    copyIfThere(join(copy, EVIDENCE_COPY), trustFile(layout, 'evidence-signer'));
    const former = pins.formerEvidence.at(-1);
    if (former !== undefined) {
      copyIfThere(join(copy, FORMER_EVIDENCE_COPY), formerEvidenceFile(layout, former.generation));
    }
  }
  const done: CeremonyPins = { ...pins, publishing: false };
  writePins(layout, done);
  return done;
}

function copyIfThere(from: string, to: string): void {
  if (existsSync(from)) replace(to, readFileSync(from), 0o644);
}
