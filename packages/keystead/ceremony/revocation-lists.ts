import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CaGeneration,
  type CeremonyBundle,
  firmwareIdOf,
  generationsOf,
  OFFLINE_CAS,
  ONLINE_CAS,
  rootKeysOf,
  rootOf,
} from '@keystead/core/lifecycle';
import { type RevocationReason, readCertificate, readCrl } from '@keystead/core/x509';
import { signerAgainSteps } from './crl-signer.ts';
import { entriesOf, type Making, rootCrl } from './hierarchy.ts';
import { type CeremonyOfKind, holdCeremony } from './hold.ts';
import type { CeremonyResult, LaterOptions } from './options.ts';
import type { Plan } from './plan.ts';
import {
  Changing,
  livingRollovers,
  oldRootName,
  openStep,
  type Previous,
  previousStep,
  readPrevious,
} from './previous.ts';
import type { OfflineCa, RootKeys } from './root-keys.ts';
import { duration } from './script.ts';
import type { CeremonyIo, CeremonySession, Step } from './session.ts';

export interface CrlOptions extends LaterOptions {
  /**
   * A CA to revoke, and why: `operational`, or `operational.1` and `operational.2` where the CA has had several keys; or a
   * key that signs firmware, as `firmware-pump-1`.
   */
  readonly revoke?: { readonly ca: string; readonly reason: RevocationReason };
}

/** One certificate that a root revokes. */
export interface RevokedCertificate {
  /** Which root made it. */
  readonly by: OfflineCa;
  /** Whose it is, in words for the script. */
  readonly words: string;
  /** The same for the transcript: the CA and which key of it, counted from 1; or the key for firmware. */
  readonly note: Readonly<Record<string, string | number>>;
  readonly serial: Serial;
  readonly reason: RevocationReason;
  /** The place among the rollovers of the old root that made it; undefined for the root of now. */
  readonly old: number | undefined;
}

/** Makes new CRLs of the roots, with a revocation where one is wanted. @throws KeysteadError as every ceremony */
export async function holdCrl(options: CrlOptions, io: CeremonyIo): Promise<CeremonyResult> {
  return holdCeremony(options, () => revocationLists(options), io);
}

/**
 * @throws KeysteadError `issuer.unknown`, `ceremony.generation-unclear`, `ceremony.revoked-already`, and those of
 *   {@link readPrevious}.
 */
export function revocationLists(options: CrlOptions): CeremonyOfKind {
  const previous = readPrevious(options);
  const revoked = revocationOf(options, previous);
  return { policy: previous.policy, plan: (making, keys) => planOf(previous, revoked, making, keys) };
}

function revocationOf({ revoke, clock }: CrlOptions, { bundle }: Previous): RevokedCertificate[] {
  if (revoke === undefined) return [];
  const firmware = firmwareIdOf(revoke.ca);
  if (firmware !== undefined) return [firmwareToRevoke(bundle, firmware, revoke.reason)];
  const one = generationNamed(bundle, revoke.ca);
  const revoked = certificatesToRevoke(bundle, one, revoke.reason, clock.now());
  if (revoked.length > 0) return revoked;
  const { serial } = readCertificate(one.newest);
  throw new KeysteadError('ceremony.revoked-already', { field: 'revoke', seen: `${one.issuer}, serial ${serial}` });
}

/** The key of a CA that a person names. A CA that has had several is named with the number of the one that is meant. */
function generationNamed(bundle: CeremonyBundle, name: string): CaGeneration {
  const [, role, number] = /^([a-z]+)(?:\.([1-9][0-9]?))?$/.exec(name) ?? [];
  const ca = ONLINE_CAS.find((one) => one === role);
  const all = ca === undefined ? [] : generationsOf(bundle, ca);
  if (number === undefined && all.length > 1) {
    throw new KeysteadError('ceremony.generation-unclear', { field: 'revoke', seen: `${name}, of ${all.length} keys` });
  }
  const one = all[Number(number ?? 1) - 1];
  if (one === undefined) throw new KeysteadError('issuer.unknown', { field: 'revoke', seen: name });
  return one;
}

/**
 * All certificates of one key of a CA that have not ended and are not revoked, whichever key of the root made them: who
 * has that key could show any of them.
 */
export function certificatesToRevoke(
  bundle: CeremonyBundle,
  { ca, certificates, issuer }: CaGeneration,
  reason: RevocationReason,
  now: Date,
): RevokedCertificate[] {
  const keys = rootKeysOf(bundle);
  const generation = 1 + generationsOf(bundle, ca).findIndex((one) => one.issuer === issuer);
  const living = (der: DerCertificate): boolean => readCertificate(der).notAfter > now;
  return certificates.filter(living).flatMap((der) => {
    const { serial } = readCertificate(der);
    const root = rootOf(der, keys);
    if (root === undefined || readCrl(root.crl).entries.has(serial)) return [];
    const at = bundle.rollovers.findIndex(({ old }) => old === root.certificate);
    const words = `the ${ca} CA, key number ${generation}`;
    return [{ by: 'root', words, note: { ca, generation }, serial, reason, old: at < 0 ? undefined : at }];
  });
}

/** The certificate of a key that signs firmware, by the key of the signing root that made it. */
function firmwareToRevoke(bundle: CeremonyBundle, key: string, reason: RevocationReason): RevokedCertificate {
  const one = bundle.firmware?.find((signer) => signer.key === key);
  if (one === undefined)
    throw new KeysteadError('issuer.unknown', { field: 'revoke', seen: `${key}, no certified key for firmware` });
  const { serial } = readCertificate(one.certificate);
  const keys = bundle.rollovers.flatMap(({ role, old, crl }, index) =>
    role === 'signing-root' ? [{ certificate: old, crl, index }] : [],
  );
  const last = { certificate: bundle.certificates['signing-root'], crl: bundle.crls['signing-root'], index: undefined };
  const root = [...keys, last].find((candidate) => rootOf(one.certificate, [candidate]) !== undefined) ?? last;
  if (readCrl(root.crl).entries.has(serial))
    throw new KeysteadError('ceremony.revoked-already', { field: 'revoke', seen: `${key}, serial ${serial}` });
  const words = `the key ${key} that signs firmware`;
  return { by: 'signing-root', words, note: { firmware: key }, serial, reason, old: root.index };
}

function planOf(
  previous: Previous,
  revoked: readonly RevokedCertificate[],
  making: Making,
  keys: RootKeys | undefined,
): Plan {
  const changing = new Changing(previous, { ceremony: 'crl', requestSha256: null }, making);
  const old = making.rehearsal ? [] : livingRollovers(changing.bundle, OFFLINE_CAS, making);
  return {
    kind: 'crl',
    number: changing.bundle.number,
    policy: previous.policy,
    policyBytes: previous.policyBytes,
    begin: { policySha256: previous.policySha256, previousTranscriptSha256: previous.transcriptSha256 },
    steps: [
      previousStep(previous, []),
      openStep(OFFLINE_CAS, changing, making, keys, old),
      ...signerAgainSteps(previous, changing, making),
      crlStep(OFFLINE_CAS, revoked, changing, making, old),
    ],
    certifier: () => changing.root('root'),
    files: new Map(),
    bundle: () => changing.bundle,
  };
}

/**
 * The step that makes the next CRL of each root, and of each old one that is an anchor still: what was revoked stays so,
 * and the number goes up by one.
 */
export function crlStep(
  roles: readonly OfflineCa[],
  revoked: readonly RevokedCertificate[],
  changing: Changing,
  making: Making,
  old: readonly number[] = [],
): Step {
  const { crls, rollovers } = changing.bundle;
  // Of an old root that nobody believes any more nothing needs to be revoked, and its key may be gone.
  const reached = revoked.filter((one) => one.old === undefined || old.includes(one.old));
  const nameOf = (index: number): string => {
    const { role, generation } = oldRootName(changing.bundle, index);
    return `${role}, old key number ${generation}`;
  };
  return {
    title: roles.length + old.length === 1 ? `Revocation list of the ${roles[0]}` : 'Revocation lists of the roots',
    critical: revoked.length > 0,
    what: [
      ...roles.map((role) => `CRL ${readCrl(crls[role]).number + 1} of the ${role}, with what the one before names.`),
      ...old.map((index) => {
        const before = rollovers[index]?.crl ?? crls.root;
        return `CRL ${readCrl(before).number + 1} of the ${nameOf(index)}, with what the one before names.`;
      }),
      `Good for ${duration(making.policy.revocation.rootCrlSeconds)}.`,
      ...reached.map(({ words, serial, reason }) => `REVOKES ${words}, serial ${serial}, reason ${reason}.`),
    ],
    async act(session) {
      const revokedAt = making.clock.now();
      const added = (of: readonly RevokedCertificate[]) =>
        of.map(({ serial, reason }) => ({ serial, reason, revokedAt }));
      const note = ({ note: whose, serial, reason }: RevokedCertificate, to: CeremonySession): void =>
        to.note('revoked', { ...whose, serial, reason });
      for (const role of roles) {
        const before = changing.bundle.crls[role];
        const these = reached.filter((one) => one.old === undefined && one.by === role);
        const entries = [...entriesOf(before), ...added(these)];
        const crl = await rootCrl(changing.root(role), readCrl(before).number + 1, entries, making);
        changing.crl(role, crl);
        for (const one of these) note(one, session);
        session.revocationList(role, crl);
      }
      for (const index of old) {
        const these = reached.filter((one) => one.old === index);
        const before = changing.bundle.rollovers[index]?.crl ?? changing.bundle.crls.root;
        const crl = await rootCrl(
          changing.old(index),
          readCrl(before).number + 1,
          [...entriesOf(before), ...added(these)],
          making,
        );
        changing.oldCrl(index, crl);
        for (const one of these) note(one, session);
        session.revocationList(nameOf(index), crl);
      }
    },
  };
}
