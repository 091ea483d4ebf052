import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toPem } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { certSha256, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CeremonyBundle,
  checkBundle,
  generationOfIssuer,
  type IssuerId,
  OFFLINE_CAS,
  ONLINE_CAS,
  requireListed,
} from '@keystead/core/lifecycle';
import { type CeremonyOutputs, readCeremony } from '../files/ceremony-outputs.ts';
import { durableWrite, syncDirectory } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { asOwnerOf } from '../host/as-owner.ts';
import {
  type CeremonyPins,
  ceremonyCopy,
  firmwarePins,
  type Hierarchy,
  lastTranscript,
  loadHierarchy,
  pinsPath,
  readPins,
} from './hierarchy.ts';
import { type ImportOptions, requireEarnest, requireRoot } from './import.ts';
import { changesOf, type LaterChanges, requireNewerCrls } from './later-changes.ts';
import { requireFirmwareInForce, requireNext, requirePinnedRoot, requireRevocations } from './later-checks.ts';
import { type Evidence, succeed } from './later-keys.ts';
import { EVIDENCE_COPY, FORMER_EVIDENCE_COPY, finishPublishing, publishRootCrls, writePins } from './publish-trust.ts';
import { becomeSole } from './single.ts';
import { stoppedState } from './stopped-state.ts';

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
    const evidence = await succeed(layout, clock, outputs, changes, options.passphrase);
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

/** Every file that the transcript lists, with the transcript: what keyd keeps, and `keystead verify` reads again. */
function copyOf({ transcript, read }: CeremonyOutputs): Map<string, Uint8Array> {
  const names = [...Object.keys(transcript.outputs), 'transcript.jsonl', 'transcript.sig'];
  const files = new Map(names.map((name) => [name, read(name)]));
  for (const [name, content] of files) if (name in transcript.outputs) requireListed(transcript, name, content);
  return files;
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
