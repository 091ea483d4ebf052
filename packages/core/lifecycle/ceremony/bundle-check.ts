import { type DerCertificate, type DerCrl, sameBytes } from '../../bytes/index.ts';
import { verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  type CaRole,
  checkPath,
  formatName,
  type IssuanceOptions,
  lintCertificate,
  type Profile,
  readCertificate,
  readCrl,
  sameName,
} from '../../x509/index.ts';
import { firmwareProfile, firmwareProfileOf } from '../firmware/profile.ts';
import { type IssuerId, MOST_GENERATIONS, type RootId, rootId } from '../issuer.ts';
import { caProfile, OFFLINE_CAS, ONLINE_CAS, type Policy } from '../policy.ts';
import { crlIssuerOf, rootCrlProfile } from '../root-crl.ts';
import { type CeremonyBundle, type RootRollover, transcriptRoot } from './bundle.ts';
import { allGenerations } from './generation.ts';
import { rehearsalPolicy } from './rehearsal.ts';

/**
 * Whether the parts of a bundle hold together: each root by its profile and signed by itself, its CRL signed by it, each
 * CA by its profile under the root and valid at `now`, each rollover's certificates leading from key to key. Revocation
 * is told, not judged: a CRL that revokes a CA is a bundle's very purpose at times.
 * @returns the issuers that their root has revoked.
 * @throws KeysteadError `bundle.altered` with the field and the rule that is broken.
 */
export function checkBundle(bundle: CeremonyBundle, policy: Policy, now: Date): ReadonlySet<IssuerId> {
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
    const path = checkPath(certificate, [], [root], { now, rehearsal: bundle.rehearsal });
    if (!path.ok) throw new KeysteadError('bundle.altered', { field, seen: `${path.rule} at ${path.at}` });
  }
  bundle.rollovers.forEach((rollover, index) => {
    checkRollover(bundle, rollover, index, used);
  });
  checkEarlier(bundle);
  checkCrlSigner(bundle, used, now);
  checkFirmwareSigners(bundle, used);
  return revokedIssuers(bundle);
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

/** A key of the root with what it has signed: its certificate, and its last CRL. The one in use is the last. */
export const rootKeysOf = ({ certificates, crls, rollovers }: CeremonyBundle): readonly RootKey[] => [
  ...rollovers.filter(({ role }) => role === 'root').map(({ old, crl }) => ({ certificate: old, crl })),
  { certificate: certificates.root, crl: crls.root },
];

/** @see rootKeysOf */
export interface RootKey {
  readonly certificate: DerCertificate;
  readonly crl: DerCrl;
}

/** The key of the root, among those of a bundle, that signed a certificate; undefined when none did. */
export function rootOf(certificate: DerCertificate, keys: readonly RootKey[]): RootKey | undefined {
  const { issuerDer, signatureAlgorithm, tbs, signature } = readCertificate(certificate);
  return keys.find(({ certificate: root }) => {
    const { subjectDer, spki } = readCertificate(root);
    return (
      sameBytes(issuerDer, subjectDer) &&
      signatureAlgorithm !== undefined &&
      verifySignature(signatureAlgorithm, spki, tbs, signature)
    );
  });
}

/**
 * When the old key of a root ceases to be an anchor: the policy's transition after the new one began, and at the latest
 * with its own certificate, or with that by which the ceremony led on from it. What a ceremony before witnesses let end no
 * later policy prolongs: nobody finds from the old root to the new one any more, and an old root that has ended would come
 * back. Nobody's clock but the certificates' is asked, so that all who hold them agree. REQ-KEY-ROT-02
 */
export function transitionEnd({ roots }: Policy, { old, newWithOld }: Pick<RootRollover, 'old' | 'newWithOld'>): Date {
  const { notBefore, notAfter } = readCertificate(newWithOld);
  const end = Math.min(readCertificate(old).notAfter.getTime(), notAfter.getTime());
  if (roots === undefined) return new Date(end);
  return new Date(Math.min(end, notBefore.getTime() + roots.transitionSeconds * 1000));
}

/** The keys of CAs whose last certificate stands on the CRL of the root that made it. */
export function revokedIssuers(bundle: CeremonyBundle): ReadonlySet<IssuerId> {
  const keys = rootKeysOf(bundle);
  const revoked = allGenerations(bundle).filter(({ newest }) => {
    const root = rootOf(newest, keys);
    return root !== undefined && readCrl(root.crl).entries.has(readCertificate(newest).serial);
  });
  return new Set(revoked.map(({ issuer }) => issuer));
}

/** What was replaced was signed by the root, by the key of now or an earlier one, and names the CA that it is listed for. */
function checkEarlier(bundle: CeremonyBundle): void {
  const keys = rootKeysOf(bundle);
  bundle.earlier.forEach(({ role, certificate }, index) => {
    const field = `earlier[${index}]`;
    const info = readCertificate(certificate);
    if (!info.ca || !sameBytes(info.subjectDer, readCertificate(bundle.certificates[role]).subjectDer)) {
      throw new KeysteadError('bundle.altered', { field, seen: `no certificate of the ${role} CA` });
    }
    if (rootOf(certificate, keys) === undefined) {
      throw new KeysteadError('bundle.altered', { field, seen: 'a signature of no key of the root' });
    }
  });
  const most = Math.max(...ONLINE_CAS.map((ca) => allGenerations(bundle).filter((one) => one.ca === ca).length));
  if (most > MOST_GENERATIONS) throw new KeysteadError('bundle.altered', { field: 'earlier', seen: `${most} keys` });
}

/**
 * Who signs the indirect CRL of the root was certified for that by a key of the root, and for a key of its own: a CA's
 * key that signed the list too would tell its own status.
 */
function checkCrlSigner(bundle: CeremonyBundle, policy: Policy, now: Date): void {
  const { crlSigner, rehearsal } = bundle;
  for (const role of ONLINE_CAS) {
    const [named] = readCertificate(bundle.certificates[role]).indirectCrls;
    if (named === undefined) continue;
    if (crlSigner !== undefined && sameName(named.issuer, crlIssuerOf(crlSigner))) continue;
    const seen = `its CRL by ${formatName(named.issuer)}, for whom there is no certificate`;
    throw new KeysteadError('bundle.altered', { field: `certificates.${role}`, seen });
  }
  if (crlSigner === undefined) return;
  const field = 'crlSigner';
  const profile = rootCrlProfile(policy);
  if (profile === undefined) throw new KeysteadError('bundle.altered', { field, seen: 'no profile in the policy' });
  const root = rootOf(crlSigner, rootKeysOf(bundle));
  if (root === undefined)
    throw new KeysteadError('bundle.altered', { field, seen: 'a signature of no key of the root' });
  requireProfile(crlSigner, profile, root.certificate, field, { rehearsal });
  const { spkiSha256, notAfter } = readCertificate(crlSigner);
  const owner = [...OFFLINE_CAS, ...ONLINE_CAS].find(
    (role) => readCertificate(bundle.certificates[role]).spkiSha256 === spkiSha256,
  );
  if (owner !== undefined) throw new KeysteadError('bundle.altered', { field, seen: `the key of '${owner}'` });
  // What has ended was good once: the ceremony before may be long ago, and the next one certifies the signer again.
  if (notAfter <= now) return;
  const anchors = [bundle.certificates.root, root.certificate];
  const path = checkPath(crlSigner, [], anchors, { now, rehearsal });
  if (!path.ok) throw new KeysteadError('bundle.altered', { field, seen: `${path.rule} at ${path.at}` });
}

/**
 * Each key for firmware was certified for production of its product by a key of the signing root, and is no other key.
 * A certificate that has ended stays: what it signed is verified by it.
 */
function checkFirmwareSigners(bundle: CeremonyBundle, policy: Policy): void {
  const roots = [
    ...bundle.rollovers.filter(({ role }) => role === 'signing-root').map(({ old }) => old),
    bundle.certificates['signing-root'],
  ];
  const owners = new Map<string, string>(
    [...OFFLINE_CAS, ...ONLINE_CAS].map((role) => [readCertificate(bundle.certificates[role]).spkiSha256, role]),
  );
  if (bundle.crlSigner !== undefined) owners.set(readCertificate(bundle.crlSigner).spkiSha256, 'crlSigner');
  const ids = new Set<string>();
  (bundle.firmware ?? []).forEach(({ key: id, certificate }, index) => {
    const field = `firmware[${index}]`;
    const altered = (seen: string) => new KeysteadError('bundle.altered', { field, seen });
    const profile = firmwareProfile(policy);
    const key = policy.firmware?.keys.find((one) => one.id === id);
    if (profile === undefined || key?.environment !== 'production')
      throw altered(`${id}, no production key of the policy`);
    if (ids.has(id)) throw altered(`${id} twice`);
    ids.add(id);
    const root = rootOf(
      certificate,
      roots.map((one) => ({ certificate: one, crl: bundle.crls['signing-root'] })),
    );
    if (root === undefined) throw altered('a signature of no key of the signing root');
    requireProfile(certificate, firmwareProfileOf(profile, key), root.certificate, field, {
      rehearsal: bundle.rehearsal,
    });
    const { spkiSha256 } = readCertificate(certificate);
    const owner = owners.get(spkiSha256);
    if (owner !== undefined) throw altered(`the key of '${owner}'`);
    owners.set(spkiSha256, id);
  });
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

/** The last CRL of every key of the roots, by the name that addresses in certificates have for the key. */
export function rootCrlsOf({
  crls,
  rollovers,
}: CeremonyBundle): { id: RootId; role: RootRollover['role']; crl: DerCrl }[] {
  return OFFLINE_CAS.flatMap((role) => {
    const old = rollovers.filter((rollover) => rollover.role === role).map(({ crl }) => crl);
    return [...old, crls[role]].map((crl, index) => ({ id: rootId(role, index + 1), role, crl }));
  });
}
