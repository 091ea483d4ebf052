import { toHex } from '@keystead/core/bytes';
import { certSha256, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  allGenerations,
  type CeremonyBundle,
  checkBundle,
  type FirmwareSigner,
  firmwareKeyOf,
  OFFLINE_CAS,
  ONLINE_CAS,
  type OnlineCa,
  type Policy,
  parsePolicy,
  revokedIssuers,
  transitionEnd,
} from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { readCeremony } from '../files/ceremony-outputs.ts';
import { fingerprintRows } from '../files/fingerprint.ts';
import {
  certifyCrlSigner,
  certifyFirmwareSigner,
  certifyOnlineCa,
  certifyRoot,
  type Making,
  type OfflineRoot,
  rootAlgorithm,
  rootCrl,
} from './hierarchy.ts';
import type { LaterOptions } from './options.ts';
import type { OfflineCa, RootKeys } from './root-keys.ts';
import type { Step } from './session.ts';

/** What a later ceremony starts from: the hierarchy as the ceremony before left it, and the policy in force. */
export interface Previous {
  readonly bundle: CeremonyBundle;
  readonly transcriptSha256: string;
  readonly policy: Policy;
  readonly policyBytes: Uint8Array;
  readonly policySha256: string;
}

/**
 * Reads and verifies the outputs of the ceremony before. Whether its root is the right one is shown to the witnesses.
 * @throws KeysteadError `ceremony.rehearsal-input`, `bundle.*`, `transcript.*`, `policy.*`.
 */
export function readPrevious(options: LaterOptions): Previous {
  const { bundle, transcriptSha256, policy, policyBytes } = readCeremony(options.previous);
  if (bundle.rehearsal)
    throw new KeysteadError('ceremony.rehearsal-input', { field: 'previous', seen: options.previous });
  checkBundle(bundle, policy, options.clock.now());
  const bytes = options.policy ?? policyBytes;
  return {
    bundle,
    transcriptSha256,
    policy: options.policy === undefined ? policy : parsePolicy(options.policy),
    policyBytes: bytes,
    policySha256: toHex(sha256(bytes)),
  };
}

/**
 * The key of none of these CAs is revoked: a new certificate for it would bring it back.
 * @throws KeysteadError `ceremony.ca-revoked`.
 */
export function requireUnrevoked({ bundle }: Previous, cas: readonly OnlineCa[]): void {
  const revoked = revokedIssuers(bundle);
  const one = allGenerations(bundle).find(
    ({ ca, current, issuer }) => current && cas.includes(ca) && revoked.has(issuer),
  );
  if (one !== undefined) throw new KeysteadError('ceremony.ca-revoked', { field: one.ca, seen: one.issuer });
}

/** How many keys a root has had, with the one of now. */
export const generationOf = ({ rollovers }: CeremonyBundle, role: OfflineCa): number =>
  1 + rollovers.filter((rollover) => rollover.role === role).length;

/** The old keys of these roots that are anchors still, by their place among the rollovers: they sign lists until the end. */
export const livingRollovers = (
  { rollovers }: CeremonyBundle,
  roles: readonly OfflineCa[],
  { policy, clock }: Pick<Making, 'policy' | 'clock'>,
): number[] =>
  rollovers.flatMap((rollover, index) =>
    roles.includes(rollover.role) && transitionEnd(policy, rollover) > clock.now() ? [index] : [],
  );

/** The old key of a rollover as the ceremony calls it: its root, and which of its keys. */
export function oldRootName({ rollovers }: CeremonyBundle, index: number): { role: OfflineCa; generation: number } {
  const role = rollovers[index]?.role ?? 'root';
  return { role, generation: rollovers.slice(0, index + 1).filter((rollover) => rollover.role === role).length };
}

/** A key for firmware that the policy names no more is no part of the hierarchy from now on. */
const stillNamed = ({ bundle, policy }: Previous): readonly FirmwareSigner[] =>
  (bundle.firmware ?? []).filter(({ key }) =>
    policy.firmware?.keys.some(({ id, environment }) => id === key && environment === 'production'),
  );

/** A hierarchy that is changed step by step: the bundle of before, and the roots that are open. */
export class Changing {
  bundle: CeremonyBundle;
  readonly #roots = new Map<OfflineCa, OfflineRoot>();
  /** By their place among the rollovers. */
  readonly #old = new Map<number, OfflineRoot>();

  constructor(previous: Previous, facts: Pick<CeremonyBundle, 'ceremony' | 'requestSha256'>, { rehearsal }: Making) {
    this.bundle = {
      ...previous.bundle,
      ...facts,
      number: previous.bundle.number + 1,
      previousTranscriptSha256: previous.transcriptSha256,
      rehearsal,
      policySha256: previous.policySha256,
      firmware: stillNamed(previous),
    };
  }

  /** Takes the certificate of a key for firmware, in place of the one that the key had. */
  certifyFirmware(signer: FirmwareSigner): void {
    const others = (this.bundle.firmware ?? []).filter(({ key }) => key !== signer.key);
    this.change({ firmware: [...others, signer] });
  }

  /** @throws TypeError before the step that opens it. */
  root(role: OfflineCa): OfflineRoot {
    const root = this.#roots.get(role);
    if (root === undefined) throw new TypeError(`no step has opened the ${role} yet`);
    return root;
  }

  opened(root: OfflineRoot): void {
    this.#roots.set(root.role, root);
  }

  /** The old root of a rollover. @throws TypeError before the step that opens it. */
  old(index: number): OfflineRoot {
    const root = this.#old.get(index);
    if (root === undefined) throw new TypeError(`no step has opened the old root ${index} yet`);
    return root;
  }

  openedOld(index: number, root: OfflineRoot): void {
    this.#old.set(index, root);
  }

  change(parts: Partial<CeremonyBundle>): void {
    this.bundle = { ...this.bundle, ...parts };
  }

  certificate(role: keyof CeremonyBundle['certificates'], der: CeremonyBundle['certificates']['root']): void {
    this.change({ certificates: { ...this.bundle.certificates, [role]: der } });
  }

  /** Gives a CA another certificate, and keeps the one of before among the earlier ones. */
  replace(role: OnlineCa, der: CeremonyBundle['certificates']['root']): void {
    this.change({ earlier: [...this.bundle.earlier, { role, certificate: this.bundle.certificates[role] }] });
    this.certificate(role, der);
  }

  /** The next list of an old root. */
  oldCrl(index: number, crl: CeremonyBundle['crls']['root']): void {
    const { rollovers } = this.bundle;
    this.change({ rollovers: rollovers.map((rollover, at) => (at === index ? { ...rollover, crl } : rollover)) });
  }

  crl(role: OfflineCa, crl: CeremonyBundle['crls']['root']): void {
    this.change({ crls: { ...this.bundle.crls, [role]: crl } });
  }
}

/** The step that shows what a later ceremony starts from. */
export function previousStep(previous: Previous, more: readonly string[], note: Record<string, string> = {}): Step {
  const { policy, policySha256, transcriptSha256, bundle } = previous;
  return {
    title: 'Inputs',
    critical: true,
    what: [
      `Ceremony ${bundle.number} went before. SHA-256 of its transcript.jsonl, to be compared with the paper:`,
      fingerprintRows(transcriptSha256, '  '),
      `Policy '${policy.name}', version ${policy.version}, of ${policy.issued}. SHA-256 of policy.json:`,
      fingerprintRows(policySha256, '  '),
      ...more,
    ],
    act(session) {
      session.say('Done: the transcript and the bundle before verify.');
      session.note('inputs', { previousTranscriptSha256: transcriptSha256, policySha256, ...note });
    },
  };
}

/**
 * The step that opens the existing roots and compares each with its certificate. In a rehearsal nothing is opened:
 * throwaway roots stand in for them, and for all that they have certified.
 */
export function openStep(
  roles: readonly OfflineCa[],
  changing: Changing,
  making: Making,
  keys: RootKeys | undefined,
  old: readonly number[] = [],
): Step {
  const { certificates, rollovers } = changing.bundle;
  return {
    title: roles.length + old.length === 1 ? `Opening the ${roles[0]}` : 'Opening the roots',
    critical: true,
    what: making.rehearsal
      ? ['The roots stay closed: in this rehearsal two throwaway roots stand in for them.']
      : roles
          .flatMap((role) => [
            `The key of the ${role} is opened ${making.custody === 'pkcs11' ? 'on its token' : 'from its sealed file'}.`,
            'SHA-256 of its certificate, to be compared with the paper:',
            fingerprintRows(certSha256(certificates[role]), '  '),
          ])
          .concat(
            old.flatMap((index) => {
              const { role, generation } = oldRootName(changing.bundle, index);
              const certificate = rollovers[index]?.old ?? certificates[role];
              return [
                `The old key of the ${role}, number ${generation}, is opened too. SHA-256 of its certificate:`,
                fingerprintRows(certSha256(certificate), '  '),
              ];
            }),
          ),
    async act(session) {
      if (keys === undefined) throw new TypeError('a script has no keys');
      if (making.rehearsal) {
        await standIn(changing, making, keys);
        for (const role of roles) session.root(changing.root(role));
        return;
      }
      for (const role of roles) {
        const certificate = certificates[role];
        const generation = generationOf(changing.bundle, role);
        const { info, signer } = await keys.open(role, generation, readCertificate(certificate).spki);
        changing.opened({ role, generation, certificate, signer, info });
        session.say(`Done: the key of the ${role} is the one of its certificate.`);
        const facts = { role, certificateSha256: certSha256(certificate), custody: info.custody };
        session.note('root-opened', facts);
      }
      for (const index of old) {
        const { role, generation } = oldRootName(changing.bundle, index);
        const certificate = rollovers[index]?.old ?? certificates[role];
        const { info, signer } = await keys.open(role, generation, readCertificate(certificate).spki);
        changing.openedOld(index, { role, generation, certificate, signer, info });
        session.say(`Done: the old key of the ${role}, number ${generation}, is the one of its certificate.`);
        const facts = { role, generation, certificateSha256: certSha256(certificate), custody: info.custody };
        session.note('old-root-opened', facts);
      }
    },
  };
}

/** A hierarchy for a rehearsal: throwaway roots that certify the very keys of the CAs again. */
async function standIn(changing: Changing, making: Making, keys: RootKeys): Promise<void> {
  const { bundle } = changing;
  for (const role of OFFLINE_CAS) {
    const key = await keys.generate(role, 1, rootAlgorithm(making.policy, role));
    const root = await certifyRoot(role, 1, key, making);
    changing.opened(root);
    changing.certificate(role, root.certificate);
    changing.crl(role, await rootCrl(root, readCrl(bundle.crls[role]).number, [], making));
  }
  const signs = bundle.crlSigner === undefined ? undefined : readCertificate(bundle.crlSigner).spki;
  const crlSigner = signs === undefined ? undefined : await certifyCrlSigner(changing.root('root'), signs, making);
  if (crlSigner !== undefined) changing.change({ crlSigner });
  for (const role of ONLINE_CAS) {
    const { spki } = readCertificate(bundle.certificates[role]);
    changing.certificate(role, await certifyOnlineCa(role, changing.root('root'), spki, making, crlSigner));
  }
  for (const { key, certificate } of changing.bundle.firmware ?? []) {
    const { spki } = readCertificate(certificate);
    const named = firmwareKeyOf(making.policy, key);
    const again = await certifyFirmwareSigner(changing.root('signing-root'), named, spki, making);
    changing.certifyFirmware({ key, certificate: again });
  }
  changing.change({ rollovers: [], earlier: [] });
}
