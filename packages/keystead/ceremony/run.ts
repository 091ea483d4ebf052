import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { certSha256, SecretBytes, sha256 } from '@keystead/core/crypto';
import { OFFLINE_CAS, ONLINE_CAS } from '@keystead/core/lifecycle';
import { type CaRole, readCrl } from '@keystead/core/x509';
import { lookAtNetwork, type NetworkSeen, requireConditions } from './conditions.ts';
import { hexGroups } from './fingerprint.ts';
import { certifyOnlineCa, firstCrl, makeRoot, type OfflineCa, type OfflineRoot } from './hierarchy.ts';
import { type CeremonyInputs, readInputs } from './inputs.ts';
import type { CeremonyOptions, CeremonyResult } from './options.ts';
import { hashesOf, type Made, outputFiles, sealedFiles, writeOutputs } from './outputs.ts';
import { requireScript, scriptMarkdown, scriptSha256, scriptSteps } from './script.ts';
import { type CeremonyIo, CeremonySession } from './session.ts';
import { TranscriptKey } from './transcript-key.ts';

/** A ceremony under way. */
interface Room {
  readonly options: CeremonyOptions;
  readonly inputs: CeremonyInputs;
  readonly script: string;
  readonly session: CeremonySession;
  readonly network: NetworkSeen;
  readonly passphrase: SecretBytes;
  /** Where the sealed files stand until everything has succeeded. */
  readonly work: string;
}

type Roots = Record<OfflineCa, OfflineRoot>;

/**
 * Runs a whole ceremony: network, inputs, roots, intermediates, CRLs, bundle, signed transcript. Nothing that is
 * complete appears in `out`, and no sealed file under its final name, before everything has succeeded.
 * REQ-KEY-GEN-02, REQ-KEY-SOD-01.
 * @throws KeysteadError `ceremony.*`, `policy.*`, `csr.*`, `key.*`, with the field and the rule.
 */
export async function runCeremony(options: CeremonyOptions, io: CeremonyIo): Promise<CeremonyResult> {
  const passphrase = options.passphrase === 'discard' ? SecretBytes.random(32) : options.passphrase;
  const work = join(options.offline, 'in-progress');
  const open: OfflineRoot[] = [];
  try {
    const network = requireConditions(options, passphrase);
    const inputs = readInputs(options.policy, options.request);
    const script = scriptMarkdown(inputs);
    requireScript(script, options.script);
    const attended = !options.unattended;
    const session = new CeremonySession(scriptSteps(inputs), io, { attended, clock: options.clock });
    const room: Room = { options, inputs, script, session, network, passphrase, work };
    await begin(room);
    rmSync(work, { recursive: true, force: true });
    const roots = await makeRoots(room, open);
    const certificates = await certifyAll(room, roots);
    const crls = await firstCrls(room, roots);
    return await close(room, roots, { certificates, crls });
  } finally {
    for (const root of open) root.close();
    passphrase.wipe();
    rmSync(work, { recursive: true, force: true });
  }
}

/** Steps 1 and 2: the network, and what the witnesses compare before anything is made. */
async function begin({ options, inputs, script, session, network }: Room): Promise<void> {
  const { policy, request, keys } = inputs;
  session.note('begin', {
    software: options.software,
    runtime: `Node.js ${process.versions.node}, OpenSSL ${process.versions.openssl}`,
    policy: `${policy.name}, version ${policy.version}`,
    policySha256: inputs.policySha256,
    requestSha256: inputs.requestSha256,
    scriptSha256: scriptSha256(script),
    witnesses: [...options.witnesses],
    attended: !options.unattended,
    rootPassphrase:
      options.passphrase === 'discard' ? 'discarded: this hierarchy can never be extended' : 'kept by its custodian',
  });
  await session.next();
  session.say(`Done: ${network.text}.`);
  session.note('network', { offline: network.offline, seen: network.text });
  await session.next();
  session.say('Done: each request proves possession of its key.');
  // Every key of the request, also those that the root does not certify: the witnesses approve them too.
  session.note('requests', {
    spkiSha256: Object.fromEntries(Object.entries(keys).map(([slot, key]) => [slot, key.spkiSha256])),
    logVkey: request.log.vkey,
    cosignVkey: request.log.cosignVkey,
  });
}

/** Steps 3 and 4. Each root that was made is put into `open`, so that it is closed whatever happens after. */
async function makeRoots({ options, inputs, session, passphrase, work }: Room, open: OfflineRoot[]): Promise<Roots> {
  const make = async (role: OfflineCa): Promise<OfflineRoot> => {
    await session.next();
    const root = await makeRoot(role, inputs.policy, work, passphrase, options.clock);
    open.push(root);
    session.certified('root-key', role, root.certificate, { custody: root.custody });
    return root;
  };
  return { root: await make('root'), 'signing-root': await make('signing-root') };
}

/** Steps 5 to 8. */
async function certifyAll({ options, inputs, session }: Room, roots: Roots): Promise<Made['certificates']> {
  const byRole = new Map<CaRole, DerCertificate>(OFFLINE_CAS.map((role) => [role, roots[role].certificate]));
  for (const role of ONLINE_CAS) {
    await session.next();
    const { spki } = inputs.keys[role];
    const certificate = await certifyOnlineCa(role, inputs.policy, roots.root, spki, options.clock);
    byRole.set(role, certificate);
    session.certified('certificate', role, certificate);
  }
  return Object.fromEntries(byRole) as Made['certificates'];
}

/** Step 9. */
async function firstCrls({ options, inputs, session }: Room, roots: Roots): Promise<Made['crls']> {
  await session.next();
  const crls: Made['crls'] = {
    root: await firstCrl(roots.root, inputs.policy, options.clock),
    'signing-root': await firstCrl(roots['signing-root'], inputs.policy, options.clock),
  };
  for (const role of OFFLINE_CAS) session.revocationList(role, sha256(crls[role]), readCrl(crls[role]).nextUpdate);
  return crls;
}

/** Step 10: the one-time key, the last look at the network, the signed transcript, and only then the files. */
async function close(room: Room, roots: Roots, made: Omit<Made, 'transcriptSigner'>): Promise<CeremonyResult> {
  const { options, inputs, session, work } = room;
  await session.next();
  const key = await TranscriptKey.make(inputs.policy, roots.root, options.clock);
  try {
    session.certified('transcript-key', 'transcript-signer', key.certificate);
    // From here on the roots sign nothing more: they are closed before anything is written out.
    for (const role of OFFLINE_CAS) roots[role].close();
    const after = lookAtNetwork(options);
    session.note('network-after', { offline: after.offline, seen: after.text });
    const outputs = outputFiles(inputs, room.script, { ...made, transcriptSigner: key.certificate });
    session.note('end', { outputs: hashesOf(outputs), sealed: hashesOf(sealedFiles(work)) });
    const transcript = session.transcript.bytes();
    const signature = await key.sign(transcript);
    key.wipe();
    writeOutputs(options, outputs, { transcript, signature, work });
    const result = {
      rootSha256: certSha256(roots.root.certificate),
      signingRootSha256: certSha256(roots['signing-root'].certificate),
      transcriptSha256: toHex(sha256(transcript)),
      offline: room.network.offline && after.offline,
    };
    sayFarewell(room, result);
    return result;
  } finally {
    key.wipe();
  }
}

function sayFarewell({ options, session }: Room, result: CeremonyResult): void {
  session.say('The one-time key is wiped. SHA-256 of transcript.jsonl, for the witnesses to sign on paper:');
  session.say(hexGroups(result.transcriptSha256, '  '));
  if (!result.offline) session.say('NOT OFFLINE: a network was present and accepted. This is no root to rely on.');
  session.say(`For the safe: ${options.offline}. To take to keyd: ${options.out}.`);
}
