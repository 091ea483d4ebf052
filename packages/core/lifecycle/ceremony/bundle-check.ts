import type { DerCertificate } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  type CaRole,
  checkPath,
  type IssuanceOptions,
  lintCertificate,
  type Profile,
  readCertificate,
  readCrl,
} from '../../x509/index.ts';
import { caProfile, OFFLINE_CAS, ONLINE_CAS, type OnlineCa, type Policy } from '../policy.ts';
import { type CeremonyBundle, type RootRollover, transcriptRoot } from './bundle.ts';
import { rehearsalPolicy } from './rehearsal.ts';

/**
 * Whether the parts of a bundle hold together: each root by its profile and signed by itself, its CRL signed by it, each
 * CA by its profile under the root, each rollover's certificates leading from key to key. Revocation
 * is told, not judged: a CRL that revokes a CA is a bundle's very purpose at times.
 * @param now when every CA must be valid; without it one may have ended: a later ceremony may be what renews it.
 * @returns the online CAs that the root has revoked.
 * @throws KeysteadError `bundle.altered` with the field and the rule that is broken.
 */
export function checkBundle(bundle: CeremonyBundle, policy: Policy, now?: Date): ReadonlySet<OnlineCa> {
  const used = bundle.rehearsal ? rehearsalPolicy(policy) : policy;
  const { root } = bundle.certificates;
  const lint = (der: DerCertificate, role: CaRole, issuer: DerCertificate | 'self', field: string) =>
    requireProfile(der, caProfile(used, role), issuer, field, { rehearsal: bundle.rehearsal });
  for (const role of OFFLINE_CAS) {
    const certificate = bundle.certificates[role];
    lint(certificate, role, 'self', `certificates.${role}`);
    if (!readCrl(bundle.crls[role]).verify(certificate)) {
      throw new KeysteadError('bundle.altered', { field: `crls.${role}`, seen: 'a signature that does not verify' });
    }
  }
  for (const role of ONLINE_CAS) {
    const field = `certificates.${role}`;
    const certificate = bundle.certificates[role];
    lint(certificate, role, root, field);
    const at = now ?? readCertificate(certificate).notAfter;
    const path = checkPath(certificate, [], [root], { now: at, rehearsal: bundle.rehearsal });
    if (!path.ok) throw new KeysteadError('bundle.altered', { field, seen: `${path.rule} at ${path.at}` });
  }
  bundle.rollovers.forEach((rollover, index) => {
    checkRollover(bundle, rollover, index, used);
  });
  return revokedCas(bundle);
}

/** The certificate of the key that signs a transcript is by its profile, under the root that vouches for it. */
export function checkTranscriptSigner(signer: DerCertificate, bundle: CeremonyBundle, policy: Policy): void {
  const used = bundle.rehearsal ? rehearsalPolicy(policy) : policy;
  const profile = used.profiles.find(({ id }) => id === 'transcript-signer');
  if (profile === undefined)
    throw new KeysteadError('profile.unknown', { field: 'profile', seen: 'transcript-signer' });
  const { rehearsal } = bundle;
  requireProfile(signer, profile, transcriptRoot(bundle), 'transcript-signer.pem', { rehearsal });
}

/** Which CAs the CRL of the root names. */
export function revokedCas({ certificates, crls }: CeremonyBundle): ReadonlySet<OnlineCa> {
  const { entries } = readCrl(crls.root);
  return new Set(ONLINE_CAS.filter((role) => entries.has(readCertificate(certificates[role]).serial)));
}

/** The certificates of a root's next key: old and new, and each by the other (RFC 9810 section 4.4). */
function checkRollover(bundle: CeremonyBundle, rollover: RootRollover, index: number, policy: Policy): void {
  const { role, old, newWithOld, oldWithNew, crl } = rollover;
  const field = `rollovers[${index}]`;
  const next = bundle.rollovers.slice(index + 1).find((later) => later.role === role)?.old ?? bundle.certificates[role];
  const { rehearsal } = bundle;
  requireProfile(old, caProfile(policy, role), 'self', `${field}.old`, { rehearsal });
  const across: Profile = { ...caProfile(policy, role), issuer: role };
  const options = { rehearsal, selfIssued: true };
  requireProfile(newWithOld, across, old, `${field}.newWithOld`, options);
  requireProfile(oldWithNew, across, next, `${field}.oldWithNew`, options);
  const keyOf = (der: DerCertificate) => readCertificate(der).spkiSha256;
  if (keyOf(newWithOld) !== keyOf(next) || keyOf(oldWithNew) !== keyOf(old) || keyOf(old) === keyOf(next)) {
    throw new KeysteadError('bundle.altered', { field, seen: 'a certificate for another key' });
  }
  if (!readCrl(crl).verify(old)) {
    throw new KeysteadError('bundle.altered', { field: `${field}.crl`, seen: 'a signature that does not verify' });
  }
}

function requireProfile(
  certificate: DerCertificate,
  profile: Profile,
  issuer: DerCertificate | 'self',
  field: string,
  options: IssuanceOptions,
): void {
  const [finding] = lintCertificate(certificate, profile, issuer, options);
  if (finding === undefined) return;
  throw new KeysteadError('bundle.altered', { field, seen: `${finding.rule} (${finding.source}): ${finding.detail}` });
}
