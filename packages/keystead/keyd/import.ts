import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, type SecretBytes, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CeremonyBundle,
  certificateOf,
  certify,
  checkBundle,
  firmwareKeystoreId,
  ONLINE_CAS,
  type OptionalSlot,
  profileOf,
  type RequestSlot,
  ROOT_CRL_KEY,
  requestName,
  statusUrls,
} from '@keystead/core/lifecycle';
import { lintCertificate, readCertificate } from '@keystead/core/x509';
import { type CeremonyOutputs, readCeremony } from '../files/ceremony-outputs.ts';
import { durableWrite } from '../files/durable.ts';
import { readFingerprint } from '../files/fingerprint.ts';
import type { Layout } from '../files/layout.ts';
import { type Keystore, openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { type CeremonyPins, firmwarePins, pinsPath, readPins, trustFile } from './hierarchy.ts';
import { requestPath } from './init.ts';
import { publishCertificates, publishRootCrls } from './publish-trust.ts';

export interface ImportOptions {
  /** Directory with the ceremony's outputs; the layout's `ceremony/` unless given. */
  readonly from?: string;
  /**
   * SHA-256 (hex, blanks and colons passed over, or its 32 words) of the root's certificate, as someone who was at the ceremony
   * vouches for it. Without it, keyd believes the first bundle that certifies its keys.
   */
  readonly rootSha256?: string;
}

/**
 * Whether keyd has taken over a ceremony.
 * @throws KeysteadError `keyd.not-ready` when what it remembers of one is damaged: that is not the same as none.
 */
export const isImported = (layout: Layout): boolean => readPins(layout) !== undefined;

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
    const checked = requireOurs(layout, keystore, clock, options);
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

/** What a ceremony has left, as far as it is for this keyd. */
function requireOurs(layout: Layout, keystore: Keystore, clock: Clock, options: ImportOptions): CeremonyOutputs {
  const outputs = readCeremony(options.from ?? layout.ceremony);
  const { bundle, transcript, policy } = outputs;
  requireEarnest(bundle);
  requireRoot(bundle.certificates.root, options.rootSha256);
  if (bundle.ceremony !== 'founding')
    throw new KeysteadError('bundle.not-founded', { field: 'ceremony', seen: bundle.ceremony });
  const requestSha256 = toHex(sha256(readFileSync(requestPath(layout))));
  if (requestSha256 !== transcript.requestSha256) {
    throw new KeysteadError('bundle.foreign', { field: 'requestSha256', seen: transcript.requestSha256 });
  }
  requireOwnKeys(bundle, keystore);
  const [revoked] = checkBundle(bundle, policy, clock.now());
  if (revoked !== undefined) throw new KeysteadError('bundle.revoked', { field: `certificates.${revoked}` });
  return outputs;
}

/** @throws KeysteadError `bundle.rehearsal` */
export function requireEarnest(bundle: CeremonyBundle): void {
  if (bundle.rehearsal) throw new KeysteadError('bundle.rehearsal', { field: 'rehearsal', seen: 'true' });
}

/** @throws KeysteadError `bundle.foreign`, `fingerprint.malformed` */
export function requireRoot(root: DerCertificate, vouched: string | undefined): void {
  if (vouched === undefined) return;
  const seen = certSha256(root);
  if (seen !== readFingerprint(vouched)) throw new KeysteadError('bundle.foreign', { field: 'rootSha256', seen });
}

/** Each CA certificate is for our own key. */
function requireOwnKeys(bundle: CeremonyBundle, keystore: Keystore): void {
  const { certificates, evidenceSpkiSha256, crlSigner, firmware = [] } = bundle;
  const ours = (slot: RequestSlot | OptionalSlot) => spkiSha256(keystore.signer(requestName(slot)).spki);
  const differs = (field: string, seen: string) =>
    new KeysteadError('bundle.foreign', { field, seen: `a key with SHA-256 ${seen}` });
  for (const role of ONLINE_CAS) {
    const { spkiSha256: theirs } = readCertificate(certificates[role]);
    if (theirs !== ours(role)) throw differs(`certificates.${role}`, theirs);
  }
  if (evidenceSpkiSha256 !== ours('evidence')) throw differs('evidenceSpkiSha256', evidenceSpkiSha256);
  for (const { key, certificate } of firmware) {
    const { spkiSha256: theirs } = readCertificate(certificate);
    if (theirs !== spkiSha256(keystore.signer(firmwareKeystoreId(key)).spki)) throw differs(`firmware ${key}`, theirs);
  }
  if (crlSigner === undefined) return;
  const { spkiSha256: signs } = readCertificate(crlSigner);
  if (signs !== ours(ROOT_CRL_KEY)) throw differs('crlSigner', signs);
}

/**
 * The evidence signer's certificate, by the server CA. One that an import before this, cut short, has left in
 * `trust/` is used again: no second certificate appears of which nobody knows.
 */
async function evidenceSignerOf(layout: Layout, keystore: Keystore, clock: Clock, checked: CeremonyOutputs) {
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

async function takeOver(
  layout: Layout,
  keystore: Keystore,
  clock: Clock,
  checked: CeremonyOutputs,
): Promise<CeremonyPins> {
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
    later: [],
    generations: {},
    former: [],
    formerEvidence: [],
    rollovers: [],
    revoked: [],
    ...(bundle.crlSigner === undefined ? {} : { crlSigner: certSha256(bundle.crlSigner) }),
    firmware: firmwarePins(bundle),
    publishing: false,
  };
  for (const dir of [layout.trust, layout.crl]) mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeTrust(layout, checked, evidence, pins);
  // Last: keyd is ready only when everything that the pins name is durably there.
  durableWrite(pinsPath(layout), `${JSON.stringify(pins, null, 2)}\n`, 0o600);
  return pins;
}

function writeTrust(layout: Layout, checked: CeremonyOutputs, evidence: DerCertificate, pins: CeremonyPins): void {
  durableWrite(trustFile(layout, 'evidence-signer'), toPem('CERTIFICATE', evidence), 0o644);
  publishCertificates(layout, checked.bundle);
  publishRootCrls(layout, checked.bundle);
  durableWrite(join(layout.trust, 'log.vkey'), `${pins.vkey}\n`, 0o644);
  durableWrite(join(layout.trust, 'log-cosign.vkey'), `${pins.cosignVkey}\n`, 0o644);
  durableWrite(layout.policy, checked.policyBytes, 0o644);
}
