import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type DerCertificate, toHex, toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, type SecretBytes, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CaGeneration,
  type CeremonyBundle,
  certificateOf,
  certify,
  checkBundle,
  firmwareKeystoreId,
  generationOfIssuer,
  generationsOf,
  type IssuerId,
  issuerKeyId,
  OFFLINE_CAS,
  ONLINE_CAS,
  profileOf,
  requestName,
  requireListed,
  rootCrlsOf,
  statusUrls,
  transcriptRoot,
} from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { type CeremonyOutputs, readCeremony } from '../files/ceremony-outputs.ts';
import { durableWrite, syncDirectory } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { asOwnerOf } from '../host/as-owner.ts';
import { type Keystore, openKeystore, readKeystoreConfig } from '../keystore/index.ts';
import { wasDevelopment } from './firmware-keys.ts';
import {
  type CeremonyPins,
  ceremonyCopy,
  firmwarePins,
  type Hierarchy,
  lastTranscript,
  loadHierarchy,
  pinsPath,
  readPins,
  trustFile,
} from './hierarchy.ts';
import { type ImportOptions, requireEarnest, requireRoot } from './import.ts';
import { changesOf, type LaterChanges, requireNewerCrls } from './later-changes.ts';
import { EVIDENCE_COPY, FORMER_EVIDENCE_COPY, finishPublishing, publishRootCrls, writePins } from './publish-trust.ts';
import { becomeSole } from './single.ts';
import { type StoppedState, stoppedState } from './stopped-state.ts';

export interface LaterImportOptions extends ImportOptions {
  readonly from: string;
  /** Gives the passphrase of keyd's keystore: asked for only where a key of it was certified for the first time. It is wiped. */
  readonly passphrase?: () => Promise<SecretBytes>;
}

/**
 * Takes over what a ceremony after the founding made: new CRLs of the roots, new certificates of CAs, a new key of a CA,
 * a new key of a root, certificates of keys for firmware. keyd must not run; it works with them when it starts again.
 * What makes the bundle ours is the pinned root under which its transcript is signed, and the transcript of the ceremony
 * before, which it names; for a new key of a CA or for firmware, that this keystore holds it; for firmware also that the
 * policy in force names it.
 *
 * The pins are replaced in one step, and everything that they name is durable in keyd's own directory by then: killed at
 * any moment, keyd works by the old state or by the new one, and `trust/` follows at its next start. Importing the same
 * bundle again changes nothing. REQ-KEY-GEN-02, REQ-KEY-SOD-01
 * @throws KeysteadError `keyd.not-ready`, `keyd.already-running`, `transcript.*`, `bundle.*`, `keystore.*`; nothing is
 *   changed then.
 */
export async function importLater(layout: Layout, clock: Clock, options: LaterImportOptions): Promise<CeremonyPins> {
  if (readPins(layout) === undefined) throw new KeysteadError('keyd.not-ready', { field: pinsPath(layout) });
  mkdirSync(layout.run, { recursive: true, mode: 0o700 });
  const right = await becomeSole(layout.run);
  try {
    const pins = await asOwnerOf(layout.keyd, () => finishPublishing(layout, readPins(layout) ?? noPins(layout)));
    const outputs = readCeremony(options.from);
    const { bundle, transcriptSha256 } = outputs;
    requireEarnest(bundle);
    requireRoot(bundle.certificates.root, options.rootSha256);
    if (bundle.ceremony !== 'founding' && lastTranscript(pins) === transcriptSha256) {
      await publishLists(layout, bundle);
      return pins;
    }
    requireNext(outputs, pins);
    requirePinnedRoot(bundle, pins);
    const revoked = [...checkBundle(bundle, outputs.policy, clock.now())];
    const hierarchy = loadHierarchy(layout);
    const changes = changesOf(bundle, hierarchy, outputs.policy);
    if (changes.firmware.length > 0) requireFirmwareInForce(outputs, changes, stoppedState(layout, pins));
    requireNewerCrls(bundle, hierarchy, layout);
    requireRevocations(bundle, changes, pins, revoked);
    const files = copyOf(outputs);
    const evidence = await succeed(layout, clock, outputs, changes, options);
    const next = pinsAfter(hierarchy, outputs, changes, { revoked, evidence, importedAt: clock.now().toISOString() });
    const done = await asOwnerOf(layout.keyd, () => takeOver(layout, next, files, evidence));
    await publishLists(layout, bundle);
    return done;
  } finally {
    right.release();
  }
}

/** As the user whose directory it is: serve's, where that is another one than keyd's. */
const publishLists = (layout: Layout, bundle: CeremonyBundle): Promise<void> =>
  asOwnerOf(existsSync(layout.crl) ? layout.crl : layout.data, () => publishRootCrls(layout, bundle));

function noPins(layout: Layout): never {
  throw new KeysteadError('keyd.not-ready', { field: pinsPath(layout) });
}

/** The bundle follows the last one that was taken, and no other. */
function requireNext({ bundle }: CeremonyOutputs, pins: CeremonyPins): void {
  const number = 1 + pins.later.length;
  const seen = `ceremony ${bundle.number}, after ceremony ${number}`;
  if (bundle.number <= number) throw new KeysteadError('bundle.older', { field: 'number', seen });
  if (bundle.number > number + 1) throw new KeysteadError('bundle.gap', { field: 'number', seen });
  if (bundle.previousTranscriptSha256 === lastTranscript(pins)) return;
  throw new KeysteadError('bundle.foreign', {
    field: 'previousTranscriptSha256',
    seen: bundle.previousTranscriptSha256 ?? 'none',
  });
}

/** The root that vouches for the transcript is the pinned one. */
function requirePinnedRoot(bundle: CeremonyBundle, pins: CeremonyPins): void {
  const vouching = certSha256(transcriptRoot(bundle));
  if (vouching === pins.certificates.root) return;
  throw new KeysteadError('bundle.foreign', { field: 'certificates.root', seen: vouching });
}

/**
 * Certificates of firmware keys are by the policy that is in force here, whatever policy lay on the table of the ceremony;
 * none is of a key that was killed, and none is revoked already. REQ-KEY-SOD-01
 * @throws KeysteadError `bundle.policy-differs`, `bundle.revoked`.
 */
function requireFirmwareInForce(
  { bundle, policyBytes }: CeremonyOutputs,
  { firmware }: LaterChanges,
  { policy, dead }: StoppedState,
): void {
  const seen = toHex(sha256(policyBytes));
  if (seen !== policy.sha256)
    throw new KeysteadError('bundle.policy-differs', {
      field: 'policy.json',
      seen: `sha256 ${seen}, where version ${policy.policy.version} is in force`,
      remedy: 'hold the ceremony with the policy that keystead hierarchy request-firmware was run under',
    });
  const revoked = rootCrlsOf(bundle).flatMap(({ role, crl }) =>
    role === 'signing-root' ? [...readCrl(crl).entries.keys()] : [],
  );
  for (const { key, certificate } of bundle.firmware ?? []) {
    if (!firmware.includes(key)) continue;
    const { spkiSha256: spki, serial } = readCertificate(certificate);
    if (dead.has(spki) || revoked.includes(serial))
      throw new KeysteadError('bundle.revoked', { field: `firmware ${key}`, seen: spki });
  }
}

/** What is new is not revoked already, and what was revoked is not brought back by a new certificate for its key. */
function requireRevocations(
  bundle: CeremonyBundle,
  changes: LaterChanges,
  pins: CeremonyPins,
  revoked: IssuerId[],
): void {
  for (const ca of changes.successor === undefined ? changes.renewed : [...changes.renewed, changes.successor.ca]) {
    const current = generationsOf(bundle, ca).find((one) => one.current);
    if (current !== undefined && revoked.includes(current.issuer)) {
      throw new KeysteadError('bundle.revoked', { field: `certificates.${ca}` });
    }
  }
  const back = pins.revoked.find((issuer) => !revoked.includes(issuer));
  if (back === undefined) return;
  throw new KeysteadError('bundle.change-unexpected', { field: 'crls.root', seen: `${back} is not revoked any more` });
}

/** Every file that the transcript lists, with the transcript: what keyd keeps, and `keystead verify` reads again. */
function copyOf({ transcript, read }: CeremonyOutputs): Map<string, Uint8Array> {
  const names = [...Object.keys(transcript.outputs), 'transcript.jsonl', 'transcript.sig'];
  const files = new Map(names.map((name) => [name, read(name)]));
  for (const [name, content] of files) if (name in transcript.outputs) requireListed(transcript, name, content);
  return files;
}

/** The certificates of the evidence key when the server CA goes on with another key, PEM. */
interface Evidence {
  readonly fresh: DerCertificate;
  readonly former: DerCertificate;
}

/**
 * For a new key of a CA: the keystore must hold it, in its place. With a new key of the server CA the evidence key gets a
 * certificate by that one, for the old key issues nothing more.
 * @throws KeysteadError `bundle.key-needed`, `bundle.foreign`, `keystore.*`.
 */
async function succeed(
  layout: Layout,
  clock: Clock,
  outputs: CeremonyOutputs,
  { successor, firmware }: LaterChanges,
  { passphrase }: LaterImportOptions,
): Promise<Evidence | undefined> {
  if (successor === undefined && firmware.length === 0) return undefined;
  if (passphrase === undefined) {
    throw new KeysteadError('bundle.key-needed', {
      field: successor === undefined ? 'firmware' : `certificates.${successor.ca}`,
      seen: successor?.issuer ?? firmware.join(', '),
    });
  }
  using secret = await passphrase();
  const keystore = await openKeystore(readKeystoreConfig(layout.keyd), secret, clock);
  try {
    requireOwnFirmwareKeys(layout, keystore, outputs, firmware);
    if (successor === undefined) return undefined;
    requireOwnKey(keystore, successor);
    if (successor.ca !== 'server') return undefined;
    return await certifyEvidence(layout, keystore, clock, outputs, successor);
  } finally {
    keystore.close();
  }
}

function requireOwnKey(keystore: Keystore, { issuer, ca, spkiSha256: theirs }: CaGeneration): void {
  const id = issuerKeyId(issuer);
  const key = keystore.list().find((one) => one.id === id);
  if (key !== undefined && spkiSha256(key.spki) === theirs) return;
  const seen = key === undefined ? `${theirs}, and no key ${id} here` : `a key with SHA-256 ${theirs}`;
  throw new KeysteadError('bundle.foreign', { field: `certificates.${ca}`, seen });
}

/** Each new certificate is for the key that the keystore has under that id, and that never was one of development. */
function requireOwnFirmwareKeys(
  layout: Layout,
  keystore: Keystore,
  { bundle }: CeremonyOutputs,
  ids: readonly string[],
): void {
  for (const { key: id, certificate } of bundle.firmware ?? []) {
    if (!ids.includes(id)) continue;
    const theirs = readCertificate(certificate).spkiSha256;
    const key = keystore.list().find((one) => one.id === firmwareKeystoreId(id));
    const own = key !== undefined && spkiSha256(key.spki) === theirs;
    if (own && !wasDevelopment(layout.keyd, id)) continue;
    const here = key === undefined ? `${theirs}, and no key ${id} here` : `a key with SHA-256 ${theirs}`;
    const seen = own ? 'a key of development' : here;
    throw new KeysteadError('bundle.foreign', { field: `firmware ${id}`, seen });
  }
}

async function certifyEvidence(
  layout: Layout,
  keystore: Keystore,
  clock: Clock,
  { policy, bundle }: CeremonyOutputs,
  { issuer }: CaGeneration,
): Promise<Evidence> {
  const { spki } = keystore.signer(requestName('evidence'));
  const path = trustFile(layout, 'evidence-signer');
  const fresh = await certify({
    profile: profileOf(policy, 'evidence-signer'),
    issuer: bundle.certificates.server,
    signer: keystore.signer(issuerKeyId(issuer)),
    spki,
    urls: statusUrls(policy, issuer),
    now: clock.now(),
  });
  return { fresh, former: certificateOf(readFileSync(path, 'latin1'), path) };
}

interface Taken {
  readonly revoked: IssuerId[];
  readonly evidence: Evidence | undefined;
  readonly importedAt: string;
}

/** What keyd will remember. */
function pinsAfter(
  { pins, issuers }: Hierarchy,
  { bundle, transcript, transcriptSha256 }: CeremonyOutputs,
  { successor }: LaterChanges,
  { revoked, evidence, importedAt }: Taken,
): CeremonyPins {
  const certificates = { ...pins.certificates };
  for (const role of [...OFFLINE_CAS, ...ONLINE_CAS]) certificates[role] = certSha256(bundle.certificates[role]);
  if (evidence !== undefined) certificates['evidence-signer'] = certSha256(evidence.fresh);
  const given = issuers.find(({ ca, current }) => current && ca === successor?.ca);
  const { offline, witnesses } = transcript;
  const told = { ceremony: bundle.ceremony, transcriptSha256, importedAt, offline, witnesses: [...witnesses], revoked };
  const rolled = bundle.rollovers.slice(pins.rollovers.length).map(({ role, old, newWithOld, oldWithNew }) => ({
    role,
    old: certSha256(old),
    newWithOld: certSha256(newWithOld),
    oldWithNew: certSha256(oldWithNew),
    importedAt,
  }));
  return {
    ...pins,
    certificates,
    later: [...pins.later, told],
    rollovers: [...pins.rollovers, ...rolled],
    revoked,
    ...(bundle.crlSigner === undefined ? {} : { crlSigner: certSha256(bundle.crlSigner) }),
    firmware: firmwarePins(bundle),
    publishing: true,
    ...(successor === undefined || given === undefined
      ? {}
      : {
          generations: { ...pins.generations, [successor.ca]: generationOfIssuer(successor.issuer) },
          former: [
            ...pins.former,
            { issuer: given.id, sha256: certSha256(given.certificate), succeededAt: importedAt },
          ],
        }),
    ...(evidence === undefined || given === undefined
      ? {}
      : {
          formerEvidence: [
            ...pins.formerEvidence,
            { generation: generationOfIssuer(given.id), sha256: certSha256(evidence.former) },
          ],
        }),
  };
}

/**
 * Copies first, then the pins: until they are replaced, the copy is a directory that nobody names, and is made anew by
 * the next import. From then on the new state holds.
 */
function takeOver(
  layout: Layout,
  pins: CeremonyPins,
  files: ReadonlyMap<string, Uint8Array>,
  evidence: Evidence | undefined,
): CeremonyPins {
  const copy = ceremonyCopy(layout, pins.later.length + 1);
  rmSync(copy, { recursive: true, force: true });
  mkdirSync(copy, { recursive: true, mode: 0o700 });
  for (const [name, content] of files) durableWrite(join(copy, name), content, 0o600);
  if (evidence !== undefined) {
    durableWrite(join(copy, EVIDENCE_COPY), toPem('CERTIFICATE', evidence.fresh), 0o600);
    durableWrite(join(copy, FORMER_EVIDENCE_COPY), toPem('CERTIFICATE', evidence.former), 0o600);
  }
  for (const dir of [dirname(copy), layout.keyd]) syncDirectory(dir);
  writePins(layout, pins);
  return finishPublishing(layout, pins);
}
