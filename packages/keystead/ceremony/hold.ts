import { toHex } from '@keystead/core/bytes';
import { certSha256, SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type Policy, profileOf, rehearsalPolicy } from '@keystead/core/lifecycle';
import { lookAtNetwork, type NetworkSeen, openRootKeys, prefixOf, requireConditions } from './conditions.ts';
import type { Making } from './hierarchy.ts';
import type { CeremonyOptions, CeremonyResult } from './options.ts';
import { hashesOf, outputFiles, writeOutputs, writeStopped } from './outputs.ts';
import { type People, peopleOf } from './people.ts';
import type { Plan } from './plan.ts';
import type { RootKeys } from './root-keys.ts';
import { describeProfile, requireScript, scriptMarkdown, scriptSha256 } from './script.ts';
import type { Step } from './session.ts';
import { type CeremonyIo, CeremonySession } from './session.ts';
import { TranscriptKey } from './transcript-key.ts';

/** A kind of ceremony: its checked inputs, and how its plan is made once the roots' keys can be reached. */
export interface CeremonyOfKind {
  readonly policy: Policy;
  /** @param keys undefined while only the script is wanted: then nothing is looked for on token or medium. */
  plan(making: Making, keys: RootKeys | undefined): Plan;
}

/** A ceremony under way. */
interface Room {
  readonly options: CeremonyOptions;
  readonly making: Making;
  readonly people: People;
  readonly plan: Plan;
  readonly keys: RootKeys;
  readonly networkBefore: NetworkSeen;
}

const makingOf = (options: CeremonyOptions, policy: Policy): Making => {
  const rehearsal = options.rehearsal === true;
  const custody = options.rootKeystore === undefined ? 'sealed-file' : 'pkcs11';
  return { policy: rehearsal ? rehearsalPolicy(policy) : policy, rehearsal, custody, clock: options.clock };
};

/** The script that a ceremony with these options would follow, for printing and review. @throws as the ceremony does */
export function scriptOf(options: CeremonyOptions, kind: CeremonyOfKind): string {
  const making = makingOf(options, kind.policy);
  const people = peopleOf({ ...options, unattended: options.witnesses.length === 0 || options.unattended }, demo(kind));
  const plan = kind.plan(making, undefined);
  return scriptMarkdown({ ...plan, rehearsal: making.rehearsal, people }, stepsOf(options, making, plan));
}

/** A script may be printed before the witnesses are known. */
const demo = ({ policy }: CeremonyOfKind): Policy => ({
  ...policy,
  demonstration: true,
  quorums: { ...policy.quorums, 'ceremony-witnesses': { approvals: 1, roles: [] } },
});

/**
 * Holds a ceremony: network, steps, signed transcript, files. Nothing that is complete appears in `out`, and no key of a
 * root becomes lasting, before everything has succeeded; a person's refusal leaves a record and nothing else.
 * REQ-KEY-GEN-02, REQ-KEY-SOD-01.
 * @throws KeysteadError `ceremony.*`, `policy.*`, `certificate.lint-failed`, `keystore.*`.
 */
export async function holdCeremony(
  options: CeremonyOptions,
  readInputs: () => CeremonyOfKind,
  io: CeremonyIo,
): Promise<CeremonyResult> {
  const passphrase = options.passphrase === 'discard' ? SecretBytes.random(32) : options.passphrase;
  try {
    // Before anything of the inputs is read: a machine with a network is no place for them.
    const networkBefore = lookAtNetwork(options);
    const kind = readInputs();
    const people = peopleOf(options, kind.policy);
    requireConditions(options, kind.policy, passphrase);
    const keys = await openRootKeys(options, passphrase);
    try {
      const making = makingOf(options, kind.policy);
      const plan = kind.plan(making, keys);
      return await perform({ options, making, people, plan, keys, networkBefore }, io);
    } finally {
      // After `keep` there is nothing left to destroy; in a rehearsal it is everything.
      await keys.discard();
    }
  } finally {
    passphrase.wipe();
  }
}

async function perform(room: Room, io: CeremonyIo): Promise<CeremonyResult> {
  const { options, making, people, plan } = room;
  const { rehearsal } = making;
  const steps = stepsOf(options, making, plan, room);
  const script = scriptMarkdown({ ...plan, rehearsal, people }, steps);
  requireScript(script, options.script);
  const attended = !options.unattended;
  const session = new CeremonySession(steps, io, { people, attended, rehearsal, clock: options.clock });
  if (rehearsal) session.say('\nREHEARSAL, NOT FOR USE. Every key of it is destroyed at the end.');
  begin(room, session, script);
  try {
    await session.run();
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'ceremony.stopped') leaveRecord(room, session);
    throw error;
  }
  return close(room, session, script);
}

/** What the driver of every ceremony adds before and after the steps of its kind. */
function stepsOf(options: CeremonyOptions, making: Making, plan: Plan, room?: Room): Step[] {
  const network: Step = {
    title: 'Network',
    what: ['No network interface is up and no route exists on this machine.'],
    act(session) {
      const seen = room?.networkBefore ?? lookAtNetwork(options);
      session.say(`Done: ${seen.text}.`);
      session.note('network', { offline: seen.offline, seen: seen.text });
    },
  };
  const transcript: Step = {
    title: 'Transcript',
    what: [
      'The network is looked at once more.',
      'A one-time key is generated and certified by the root CA; it signs the transcript and is wiped.',
      ...describeProfile(profileOf(making.policy, 'transcript-signer')),
      ...(making.rehearsal ? ['Every key of this rehearsal is destroyed.'] : []),
    ],
    critical: true,
    act() {},
  };
  return [network, ...plan.steps, transcript];
}

function begin({ options, people, plan, keys }: Room, session: CeremonySession, script: string): void {
  const { policy } = plan;
  const kept = keys.custody === 'pkcs11' ? 'a token, under its PIN' : 'kept by its custodian';
  session.note('begin', {
    ceremony: plan.kind,
    number: plan.number,
    rehearsal: options.rehearsal === true,
    software: options.software,
    runtime: `Node.js ${process.versions.node}, OpenSSL ${process.versions.openssl}`,
    policy: `${policy.name}, version ${policy.version}`,
    ...plan.begin,
    scriptSha256: scriptSha256(script),
    ...(people.administrator === undefined ? {} : { administrator: people.administrator }),
    witnesses: [...people.witnesses],
    custodians: [...people.custodians],
    attended: !options.unattended,
    rootCustody: keys.custody,
    rootPassphrase: options.passphrase === 'discard' ? 'discarded: this hierarchy can never be extended' : kept,
  });
}

/** The one-time key, the last look at the network, the signed transcript, and only then the files. */
async function close(room: Room, session: CeremonySession, script: string): Promise<CeremonyResult> {
  const { options, making, plan, keys } = room;
  const prefix = prefixOf(options);
  const key = await TranscriptKey.make(plan.certifier(), making);
  try {
    session.certified('transcript-key', 'transcript-signer', key.certificate);
    // From here on the roots sign nothing more.
    keys.close();
    const after = lookAtNetwork(options);
    session.note('network-after', { offline: after.offline, seen: after.text });
    const files = outputFiles(plan, script, key.certificate, prefix);
    const sealed = making.rehearsal ? {} : keys.sealed();
    if (making.rehearsal) await keys.discard();
    session.note('end', { sealed, outputs: hashesOf(files) });
    const transcript = session.transcript.bytes();
    const signature = await key.sign(transcript);
    key.wipe();
    writeOutputs(options.out, prefix, files, { transcript, signature, keep: () => keys.keep() });
    const { certificates } = plan.bundle();
    const result: CeremonyResult = {
      rootSha256: certSha256(certificates.root),
      signingRootSha256: certSha256(certificates['signing-root']),
      transcriptSha256: toHex(sha256(transcript)),
      offline: room.networkBefore.offline && after.offline,
      rehearsal: making.rehearsal,
    };
    sayFarewell(room, session, result);
    return result;
  } finally {
    key.wipe();
  }
}

function sayFarewell({ options, keys }: Room, session: CeremonySession, result: CeremonyResult): void {
  session.say('The one-time key is wiped. SHA-256 of transcript.jsonl, for the witnesses to write down and sign:');
  session.fingerprint(result.transcriptSha256);
  if (!result.offline) session.say('NOT OFFLINE: a network was present and accepted. This is no root to rely on.');
  if (result.rehearsal) {
    session.say(`REHEARSAL, NOT FOR USE: its keys are destroyed. What it wrote is in ${options.out}.`);
    return;
  }
  const safe = keys.custody === 'pkcs11' ? 'the token' : options.offline;
  session.say(`For the safe: ${safe}. To take to keyd: ${options.out}.`);
}

function leaveRecord({ options }: Room, session: CeremonySession): void {
  const record = session.transcript.bytes();
  const path = writeStopped(options.out, prefixOf(options), record, options.clock.now());
  session.say('\nThe ceremony is stopped. No key of it is kept. The record, which nothing signs, is in');
  session.say(`${path}. Its SHA-256, for the witnesses to write down and sign:`);
  session.fingerprint(toHex(sha256(record)));
}
