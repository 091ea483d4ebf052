import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, type SecretBytes, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CeremonyBundle,
  caProfile,
  certificateOf,
  certify,
  ONLINE_CAS,
  type Policy,
  parseBundle,
  parsePolicy,
  profileOf,
  requestName,
  requireListed,
  statusUrls,
  type VerifiedTranscript,
  verifyTranscript,
} from '@keystead/core/lifecycle';
import { checkPath, lintCertificate, readCertificate, readCrl } from '@keystead/core/x509';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { type Keystore, openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { type CeremonyPins, pinsPath, readPins, trustFile } from './hierarchy.ts';
import { requestPath } from './init.ts';

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
 * server CA; fills `trust/` and `crl/`; and last pins it all in keyd's own directory. Importing the same bundle
 * again changes nothing. REQ-KEY-GEN-02, REQ-KEY-SOD-01.
 * @throws KeysteadError `transcript.*`, `bundle.*`, `keystore.*`; nothing is written then.
 */
export async function importBundle(
  layout: Layout,
  passphrase: SecretBytes,
  clock: Clock,
  options: ImportOptions = {},
): Promise<CeremonyPins> {
  const keystore = await openKeystore(readKeystoreConfig(layout.keyd), passphrase, clock);
  try {
    const checked = checkBundle(layout, keystore, clock, options);
    const pinned = readPins(layout);
    if (pinned !== undefined) {
      if (pinned.transcriptSha256 === checked.transcriptSha256) return pinned;
      throw new KeysteadError('bundle.already-imported', { field: 'transcript', seen: checked.transcriptSha256 });
    }
    return await takeOver(layout, keystore, clock, checked);
  } finally {
    keystore.close();
  }
}

function checkBundle(layout: Layout, keystore: Keystore, clock: Clock, options: ImportOptions): Checked {
  const from = options.from ?? layout.ceremony;
  const read = (name: string): Uint8Array => {
    try {
      return readFileSync(join(from, name));
    } catch (cause) {
      throw new KeysteadError('bundle.altered', { field: name, seen: 'no readable file', cause });
    }
  };
  const bundleBytes = read('bundle.json');
  const policyBytes = read('policy.json');
  const transcriptBytes = read('transcript.jsonl');
  const bundle = parseBundle(bundleBytes);
  requireRoot(bundle.certificates.root, options.rootSha256);
  const signer = certificateOf(Buffer.from(read('transcript-signer.pem')).toString('latin1'), 'transcript-signer.pem');
  const { root } = bundle.certificates;
  const transcript = verifyTranscript(transcriptBytes, read('transcript.sig'), signer, root);
  requireListed(transcript, 'bundle.json', bundleBytes);
  const policySha256 = toHex(sha256(policyBytes));
  if (policySha256 !== transcript.policySha256 || policySha256 !== bundle.policySha256) {
    throw new KeysteadError('bundle.policy-differs', { field: 'policy.json', seen: `sha256 ${policySha256}` });
  }
  const policy = parsePolicy(policyBytes);
  const requestSha256 = toHex(sha256(readFileSync(requestPath(layout))));
  if (requestSha256 !== transcript.requestSha256) {
    throw new KeysteadError('bundle.foreign', { field: 'requestSha256', seen: transcript.requestSha256 });
  }
  // The policy says what a transcript signer is; a certificate of another kind under the same root is none.
  requireProfile(signer, profileOf(policy, 'transcript-signer'), root, 'transcript-signer.pem');
  requireCertificates(bundle, policy, keystore, clock);
  return { bundle, transcript, policy, policyBytes, transcriptSha256: toHex(sha256(transcriptBytes)) };
}

function requireRoot(root: DerCertificate, vouched: string | undefined): void {
  if (vouched === undefined) return;
  const seen = certSha256(root);
  if (seen !== vouched.replace(/[\s:]/g, '').toLowerCase()) {
    throw new KeysteadError('bundle.foreign', { field: 'rootSha256', seen });
  }
}

/** Each CA certificate is for our own key, by its profile, under the root; the roots are by theirs. */
function requireCertificates(bundle: CeremonyBundle, policy: Policy, keystore: Keystore, clock: Clock): void {
  const { root } = bundle.certificates;
  for (const role of ['root', 'signing-root'] as const) {
    const certificate = bundle.certificates[role];
    requireProfile(certificate, caProfile(policy, role), 'self', `certificates.${role}`);
    if (!readCrl(bundle.crls[role]).verify(certificate)) {
      throw new KeysteadError('bundle.altered', { field: `crls.${role}`, seen: 'a signature that does not verify' });
    }
  }
  for (const role of ONLINE_CAS) {
    const field = `certificates.${role}`;
    const certificate = bundle.certificates[role];
    const ours = spkiSha256(keystore.signer(requestName(role)).spki);
    const theirs = spkiSha256(readCertificate(certificate).spki);
    if (theirs !== ours) throw new KeysteadError('bundle.foreign', { field, seen: `a key with SHA-256 ${theirs}` });
    requireProfile(certificate, caProfile(policy, role), root, field);
    const path = checkPath(certificate, [], [root], { now: clock.now() });
    if (!path.ok) throw new KeysteadError('bundle.altered', { field, seen: `${path.rule} at ${path.at}` });
  }
}

function requireProfile(
  certificate: DerCertificate,
  profile: Parameters<typeof lintCertificate>[1],
  issuer: DerCertificate | 'self',
  field: string,
): void {
  const [finding] = lintCertificate(certificate, profile, issuer);
  if (finding === undefined) return;
  throw new KeysteadError('bundle.altered', { field, seen: `${finding.rule} (${finding.source}): ${finding.detail}` });
}

/**
 * The evidence signer's certificate, by the server CA. One that an import before this, cut short, has left in
 * `trust/` is used again: no second certificate appears of which nobody knows.
 */
async function evidenceSignerOf(layout: Layout, keystore: Keystore, clock: Clock, checked: Checked) {
  const { bundle, policy } = checked;
  const profile = profileOf(policy, 'evidence-signer');
  const issuer = bundle.certificates.server;
  const { spki } = keystore.signer(requestName('evidence'));
  const path = trustFile(layout, 'evidence-signer');
  if (existsSync(path)) {
    const left = certificateOf(readFileSync(path, 'latin1'), path);
    const ours = spkiSha256(readCertificate(left).spki) === spkiSha256(spki);
    if (ours && lintCertificate(left, profile, issuer).length === 0) return left;
  }
  const signer = keystore.signer(requestName('server'));
  return certify({ profile, issuer, signer, spki, urls: statusUrls(policy, 'server'), now: clock.now() });
}

async function takeOver(layout: Layout, keystore: Keystore, clock: Clock, checked: Checked): Promise<CeremonyPins> {
  const { bundle, transcript } = checked;
  const evidence = await evidenceSignerOf(layout, keystore, clock, checked);
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
