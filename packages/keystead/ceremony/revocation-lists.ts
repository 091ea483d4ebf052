import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { OFFLINE_CAS, type OnlineCa } from '@keystead/core/lifecycle';
import { type RevocationReason, readCertificate, readCrl } from '@keystead/core/x509';
import { entriesOf, type Making, rootCrl } from './hierarchy.ts';
import { type CeremonyOfKind, holdCeremony } from './hold.ts';
import type { CeremonyResult, LaterOptions } from './options.ts';
import type { Plan } from './plan.ts';
import { Changing, openStep, type Previous, previousStep, readPrevious } from './previous.ts';
import type { OfflineCa, RootKeys } from './root-keys.ts';
import { duration } from './script.ts';
import type { CeremonyIo, Step } from './session.ts';

export interface CrlOptions extends LaterOptions {
  /** A CA to revoke, and why. */
  readonly revoke?: { readonly ca: OnlineCa; readonly reason: RevocationReason };
}

/** One certificate of a CA that a root revokes. */
export interface RevokedCa {
  readonly ca: OnlineCa;
  readonly serial: Serial;
  readonly reason: RevocationReason;
}

/** Makes new CRLs of the roots, with a revocation where one is wanted. @throws KeysteadError as every ceremony */
export async function holdCrl(options: CrlOptions, io: CeremonyIo): Promise<CeremonyResult> {
  return holdCeremony(options, () => revocationLists(options), io);
}

/** @throws KeysteadError `ceremony.revoked-already`, and those of {@link readPrevious}. */
export function revocationLists(options: CrlOptions): CeremonyOfKind {
  const previous = readPrevious(options);
  const revoked = revocationOf(options, previous);
  return { policy: previous.policy, plan: (making, keys) => planOf(previous, revoked, making, keys) };
}

function revocationOf({ revoke }: CrlOptions, { bundle }: Previous): RevokedCa[] {
  if (revoke === undefined) return [];
  const { serial } = readCertificate(bundle.certificates[revoke.ca]);
  if (readCrl(bundle.crls.root).entries.has(serial)) {
    throw new KeysteadError('ceremony.revoked-already', { field: 'revoke', seen: `${revoke.ca}, serial ${serial}` });
  }
  return [{ ...revoke, serial }];
}

function planOf(previous: Previous, revoked: readonly RevokedCa[], making: Making, keys: RootKeys | undefined): Plan {
  const changing = new Changing(previous, { ceremony: 'crl', requestSha256: null }, making);
  return {
    kind: 'crl',
    number: changing.bundle.number,
    policy: previous.policy,
    policyBytes: previous.policyBytes,
    begin: { policySha256: previous.policySha256, previousTranscriptSha256: previous.transcriptSha256 },
    steps: [
      previousStep(previous, []),
      openStep(OFFLINE_CAS, changing, making, keys),
      crlStep(OFFLINE_CAS, revoked, changing, making),
    ],
    certifier: () => changing.root('root'),
    files: new Map(),
    bundle: () => changing.bundle,
  };
}

/** The step that makes the next CRL of each root: what was revoked stays so, and the number goes up by one. */
export function crlStep(
  roles: readonly OfflineCa[],
  revoked: readonly RevokedCa[],
  changing: Changing,
  making: Making,
): Step {
  const lists = changing.bundle.crls;
  return {
    title: roles.length === 1 ? `Revocation list of the ${roles[0]}` : 'Revocation lists of the two roots',
    critical: revoked.length > 0,
    what: [
      ...roles.map((role) => `CRL ${readCrl(lists[role]).number + 1} of the ${role}, with what the one before names.`),
      `Good for ${duration(making.policy.revocation.rootCrlSeconds)}.`,
      ...revoked.map(({ ca, serial, reason }) => `REVOKES the ${ca} CA, serial ${serial}, reason ${reason}.`),
    ],
    async act(session) {
      const revokedAt = making.clock.now();
      for (const role of roles) {
        const before = changing.bundle.crls[role];
        const added = role === 'root' ? revoked.map(({ serial, reason }) => ({ serial, reason, revokedAt })) : [];
        const entries = [...entriesOf(before), ...added];
        const crl = await rootCrl(changing.root(role), readCrl(before).number + 1, entries, making);
        changing.crl(role, crl);
        for (const { ca, serial, reason } of role === 'root' ? revoked : []) {
          session.note('revoked', { ca, serial, reason });
        }
        session.revocationList(role, crl);
      }
    },
  };
}
