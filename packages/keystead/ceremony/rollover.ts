import { certSha256 } from '@keystead/core/crypto';
import { OFFLINE_CAS, ONLINE_CAS } from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { signerAgainSteps } from './crl-signer.ts';
import { placeOf } from './founding.ts';
import {
  certifyAcross,
  certifyOnlineCa,
  certifyRoot,
  entriesOf,
  type Making,
  type OfflineRoot,
  rootAlgorithm,
  rootCrl,
} from './hierarchy.ts';
import { type CeremonyOfKind, holdCeremony } from './hold.ts';
import type { CeremonyResult, LaterOptions } from './options.ts';
import type { Plan } from './plan.ts';
import {
  Changing,
  generationOf,
  openStep,
  type Previous,
  previousStep,
  readPrevious,
  requireUnrevoked,
} from './previous.ts';
import { type OfflineCa, type RootKeys, rootKeyId } from './root-keys.ts';
import { duration, profileLines } from './script.ts';
import type { CeremonyIo, Step } from './session.ts';

export interface RolloverOptions extends LaterOptions {
  readonly root: OfflineCa;
}

/** Gives a root a new key, and leads from each key to the other (RFC 9810 section 4.4). @throws as every ceremony */
export async function holdRollover(options: RolloverOptions, io: CeremonyIo): Promise<CeremonyResult> {
  return holdCeremony(options, () => rollover(options), io);
}

/** @throws KeysteadError `ceremony.ca-revoked`, and those of {@link readPrevious}. */
export function rollover(options: RolloverOptions): CeremonyOfKind {
  const previous = readPrevious(options);
  if (options.root === 'root') requireUnrevoked(previous, ONLINE_CAS);
  return { policy: previous.policy, plan: (making, keys) => planOf(options.root, previous, making, keys) };
}

function planOf(role: OfflineCa, previous: Previous, making: Making, keys: RootKeys | undefined): Plan {
  const changing = new Changing(previous, { ceremony: 'rollover', requestSha256: null }, making);
  const opened: readonly OfflineCa[] = role === 'root' ? ['root'] : OFFLINE_CAS;
  // A rehearsal has made the throwaway roots as the first generation.
  const generation = (making.rehearsal ? 1 : generationOf(changing.bundle, role)) + 1;
  keys?.requireFree(role, generation);
  const certifier: { root?: OfflineRoot } = {};
  return {
    kind: 'rollover',
    number: changing.bundle.number,
    policy: previous.policy,
    policyBytes: previous.policyBytes,
    begin: { policySha256: previous.policySha256, previousTranscriptSha256: previous.transcriptSha256, root: role },
    steps: [
      previousStep(previous, [], { root: role }),
      openStep(opened, changing, making, keys),
      keyStep(role, generation, changing, making, keys, certifier),
      ...(role === 'root' ? signerAgainSteps(previous, changing, making) : []),
      ...(role === 'root' ? ONLINE_CAS.map((ca) => againStep(ca, previous, changing, making)) : []),
    ],
    // The old root vouches for the transcript: those who read it know that one already.
    certifier: () => certifier.root ?? changing.root('root'),
    files: new Map(),
    bundle: () => changing.bundle,
  };
}

function keyStep(
  role: OfflineCa,
  generation: number,
  changing: Changing,
  making: Making,
  keys: RootKeys | undefined,
  certifier: { root?: OfflineRoot },
): Step {
  const file = rootKeyId(role, generation);
  return {
    title: `New key of the ${role}`,
    critical: true,
    what: [
      `Generated ${placeOf(making, file)}, and certified by itself, with the name of the old one.`,
      ...profileLines(making.policy, role),
      'The old key certifies the new one (new with old), and the new key the old one (old with new); both end when the',
      'old root ceases to be an anchor. The old key signs a revocation list once more, good for',
      `${duration(making.policy.revocation.rootCrlSeconds)}, and the new key its first.`,
      making.policy.roots === undefined
        ? 'The old root stays an anchor until its certificate ends.'
        : `The old root stays an anchor for ${duration(making.policy.roots.transitionSeconds)}.`,
    ],
    async act(session) {
      if (keys === undefined) throw new TypeError('a script has no keys');
      const old = changing.root(role);
      certifier.root = changing.root('root');
      const { policy } = making;
      const key = await keys.generate(role, generation, rootAlgorithm(policy, role));
      const fresh = await certifyRoot(role, generation, key, making);
      session.root(fresh);
      const both = { old: old.certificate, newer: fresh.certificate };
      const newWithOld = await certifyAcross(fresh.certificate, old, both, making);
      session.certified('cross-certificate', `${role}, new with old`, newWithOld);
      const oldWithNew = await certifyAcross(old.certificate, fresh, both, making);
      session.certified('cross-certificate', `${role}, old with new`, oldWithNew);
      const before = changing.bundle.crls[role];
      const number = readCrl(before).number + 1;
      const crl = await rootCrl(old, number, entriesOf(before), making);
      session.revocationList(`old ${role}`, crl);
      const first = await rootCrl(fresh, number + 1, [], making);
      session.revocationList(role, first);
      changing.opened(fresh);
      changing.certificate(role, fresh.certificate);
      changing.crl(role, first);
      const added = { role, old: old.certificate, newWithOld, oldWithNew, crl };
      changing.change({ rollovers: [...changing.bundle.rollovers, added] });
    },
  };
}

/** A CA's certificate again, under the new root, for the key that it has. */
function againStep(ca: (typeof ONLINE_CAS)[number], { bundle }: Previous, changing: Changing, making: Making): Step {
  const old = readCertificate(bundle.certificates[ca]);
  return {
    title: `Certificate of the ${ca} CA under the new root`,
    what: ['Signed by the new key of the root for the key that the CA has:', ...profileLines(making.policy, ca)],
    async act(session) {
      const certificate = await certifyOnlineCa(ca, changing.root('root'), old.spki, making, changing.bundle.crlSigner);
      changing.replace(ca, certificate);
      session.certified('certificate', ca, certificate, { replaces: certSha256(old.der) });
    },
  };
}
