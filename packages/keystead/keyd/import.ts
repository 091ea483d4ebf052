import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, type SecretBytes, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CeremonyBundle,
  checkBundle,
  isRehearsed,
  ONLINE_CAS,
  type Policy,
  requestName,
  transcriptRoot,
  type VerifiedTranscript,
} from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { readCeremony } from '../files/ceremony-outputs.ts';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { type Keystore, openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { evidenceSignerOf } from './evidence-signer.ts';
import { type CeremonyPins, lastTranscript, pinsPath, readPins, trustFile } from './hierarchy.ts';
import { requestPath } from './init.ts';
import { takeOverLater } from './later-ceremony.ts';
import { becomeSole } from './single.ts';

export interface ImportOptions {
  /** Directory with the ceremony's outputs; the layout's `ceremony/` unless given. */
  readonly from?: string;
  /**
   * SHA-256 (hex; blanks and colons are passed over) of the root's certificate, as someone who was at the ceremony
   * vouches for it. Without it, keyd believes the first bundle that certifies its keys.
   */
  readonly rootSha256?: string;
}

/**
 * Whether keyd has taken over a ceremony.
 * @throws KeysteadError `keyd.not-ready` when what it remembers of one is damaged: that is not the same as none.
 */
export const isImported = (layout: Layout): boolean => readPins(layout) !== undefined;

interface Checked {
  readonly bundle: CeremonyBundle;
  readonly transcript: VerifiedTranscript;
  readonly policy: Policy;
  readonly policyBytes: Uint8Array;
  readonly transcriptSha256: string;
}

/**
 * Takes over what a ceremony made: verifies the signed transcript, that bundle and policy are the ones that it lists,
 * that it answers this keyd's own request and certifies this keyd's own keys; certifies the evidence signer by the
 * server CA; fills `trust/` and `crl/`; and last pins it all in keyd's own directory. A later ceremony must follow from
 * the one that was imported last. Importing the same bundle again changes nothing. keyd must not be running.
 * REQ-KEY-GEN-02, REQ-KEY-SOD-01.
 * @throws KeysteadError `transcript.*`, `bundle.*`, `keystore.*`, `keyd.already-running`; nothing is written then.
 */
export async function importBundle(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  options: ImportOptions = {},
): Promise<CeremonyPins> {
  const right = await becomeSole(layout.keyd);
  try {
    const keystore = await openKeystore(readKeystoreConfig(layout.keyd), passphrase, clock);
    try {
      return await importWith(keystore, layout, clock, options);
    } finally {
      keystore.close();
    }
  } finally {
    right.release();
  }
}

async function importWith(
  keystore: Keystore,
  layout: Layout,
  clock: Clock,
  options: ImportOptions,
): Promise<CeremonyPins> {
  const checked = readCeremony(options.from ?? layout.ceremony);
  const { bundle, transcript, transcriptSha256, policy } = checked;
  if (bundle.rehearsal || Object.values(bundle.certificates).some(isRehearsed)) {
    throw new KeysteadError('bundle.rehearsal', { field: 'bundle.rehearsal' });
  }
  requireRoot(bundle.certificates.root, options.rootSha256);
  const pins = readPins(layout);
  if (pins !== undefined && bundle.number > 1) {
    const last = pins.later.at(-1)?.number ?? 1;
    if (lastTranscript(pins) === transcriptSha256) return pins;
    requireNext(pins, bundle, transcriptSha256, last);
    checkBundle(bundle, policy);
    return takeOverLater({ layout, keystore, clock }, pins, checked);
  }
  if (pins !== undefined) {
    if (pins.transcriptSha256 !== transcriptSha256) {
      throw new KeysteadError('bundle.already-imported', { field: 'transcript', seen: transcriptSha256 });
    }
    if (pins.later.length === 0) return pins;
    throw new KeysteadError('bundle.older', { field: 'number', seen: '1' });
  }
  if (bundle.number !== 1 || bundle.ceremony !== 'founding') {
    throw new KeysteadError('bundle.not-founded', { field: 'number', seen: String(bundle.number) });
  }
  const requestSha256 = toHex(sha256(readFileSync(requestPath(layout))));
  if (requestSha256 !== transcript.requestSha256) {
    throw new KeysteadError('bundle.foreign', { field: 'requestSha256', seen: transcript.requestSha256 });
  }
  requireOwnKeys(bundle, keystore);
  checkBundle(bundle, policy, clock.now());
  return takeOver(layout, keystore, clock, checked);
}

/** The bundle is of this hierarchy, and of the ceremony that follows the last one here. */
function requireNext(pins: CeremonyPins, bundle: CeremonyBundle, transcriptSha256: string, last: number): void {
  const imported = [pins.transcriptSha256, ...pins.later.map((one) => one.transcriptSha256)];
  if (imported.includes(transcriptSha256)) {
    throw new KeysteadError('bundle.older', { field: 'number', seen: `${bundle.number}, after ${last}` });
  }
  const root = certSha256(transcriptRoot(bundle));
  // After a rollover the bundles of before stand under the old root: older, not foreign.
  if (root !== pins.certificates.root && !Object.values(pins.rollovers).includes(root)) {
    throw new KeysteadError('bundle.foreign', { field: 'root', seen: root });
  }
  if (bundle.number <= last) {
    throw new KeysteadError('bundle.older', { field: 'number', seen: `${bundle.number}, after ${last}` });
  }
  if (bundle.number > last + 1) {
    throw new KeysteadError('bundle.gap', { field: 'number', seen: `${bundle.number}, after ${last}` });
  }
  if (root !== pins.certificates.root || bundle.previousTranscriptSha256 !== lastTranscript(pins)) {
    const seen = bundle.previousTranscriptSha256 ?? 'none';
    throw new KeysteadError('bundle.foreign', { field: 'previousTranscriptSha256', seen });
  }
}

function requireRoot(root: DerCertificate, vouched: string | undefined): void {
  if (vouched === undefined) return;
  const seen = certSha256(root);
  if (seen !== vouched.replace(/[\s:]/g, '').toLowerCase()) {
    throw new KeysteadError('bundle.foreign', { field: 'rootSha256', seen });
  }
}

/** Each CA certificate is for our own key. */
function requireOwnKeys(bundle: CeremonyBundle, keystore: Keystore): void {
  for (const role of ONLINE_CAS) {
    const ours = spkiSha256(keystore.signer(requestName(role)).spki);
    const theirs = spkiSha256(readCertificate(bundle.certificates[role]).spki);
    if (theirs === ours) continue;
    throw new KeysteadError('bundle.foreign', { field: `certificates.${role}`, seen: `a key with SHA-256 ${theirs}` });
  }
}

async function takeOver(layout: Layout, keystore: Keystore, clock: Clock, checked: Checked): Promise<CeremonyPins> {
  const { bundle, transcript } = checked;
  const server = keystore.signer(requestName('server'));
  const evidence = await evidenceSignerOf({ layout, keystore, clock }, checked, server);
  const requests = transcript.lines.find((line) => line.step === 'requests')?.detail ?? {};
  const pins: CeremonyPins = {
    version: 1,
    importedAt: clock.now().toISOString(),
    policySha256: transcript.policySha256,
    transcriptSha256: checked.transcriptSha256,
    offline: transcript.offline,
    witnesses: [...transcript.witnesses],
    certificates: {
      root: certSha256(bundle.certificates.root),
      'signing-root': certSha256(bundle.certificates['signing-root']),
      manufacturing: certSha256(bundle.certificates.manufacturing),
      operational: certSha256(bundle.certificates.operational),
      server: certSha256(bundle.certificates.server),
      operator: certSha256(bundle.certificates.operator),
      'evidence-signer': certSha256(evidence),
    },
    vkey: String(requests.logVkey),
    cosignVkey: String(requests.cosignVkey),
    later: [],
    keys: {},
    activated: {},
    revoked: [],
    rootCrls: { root: 1, 'signing-root': 1 },
    rollovers: {},
  };
  writeTrust(layout, checked, evidence, pins);
  // Last: keyd is ready only when everything that the pins name is durably there.
  durableWrite(pinsPath(layout), `${JSON.stringify(pins, null, 2)}\n`, 0o600);
  return pins;
}

function writeTrust(layout: Layout, checked: Checked, evidence: DerCertificate, pins: CeremonyPins): void {
  for (const dir of [layout.trust, layout.crl]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { certificates, crls } = checked.bundle;
  durableWrite(trustFile(layout, 'evidence-signer'), toPem('CERTIFICATE', evidence), 0o644);
  for (const role of ['root', 'signing-root', ...ONLINE_CAS] as const) {
    durableWrite(trustFile(layout, role), toPem('CERTIFICATE', certificates[role]), 0o644);
  }
  // What a relying party needs between a leaf and the root; the signing root is another tree and not in it.
  const chain = [...ONLINE_CAS, 'root' as const].map((role) => toPem('CERTIFICATE', certificates[role])).join('');
  durableWrite(join(layout.trust, 'ca-chain.pem'), chain, 0o644);
  durableWrite(join(layout.trust, 'log.vkey'), `${pins.vkey}\n`, 0o644);
  durableWrite(join(layout.trust, 'log-cosign.vkey'), `${pins.cosignVkey}\n`, 0o644);
  for (const role of ['root', 'signing-root'] as const)
    durableWrite(join(layout.crl, `${role}.crl`), crls[role], 0o644);
  durableWrite(layout.policy, checked.policyBytes, 0o644);
}
