import type { DerCertificate, DerCrl, DerSpki } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import type { Signer } from '@keystead/core/crypto';
import {
  caProfile,
  certify,
  FIRMWARE_PROFILE,
  type FirmwareKey,
  firmwareProfileOf,
  indirectUrls,
  type OnlineCa,
  type Policy,
  profileOf,
  ROOT_CRL_PROFILE,
  rootId,
  statusUrls,
  transitionEnd,
} from '@keystead/core/lifecycle';
import { assembleSigned, type RevokedEntry, readCertificate, readCrl, tbsCertList } from '@keystead/core/x509';
import type { KeyInfo } from '../keystore/index.ts';
import type { OfflineCa, RootKey } from './root-keys.ts';

/** By what the certificates of a ceremony are made. */
export interface Making {
  /** In a rehearsal the one whose names say so. */
  readonly policy: Policy;
  readonly rehearsal: boolean;
  /** Where the roots' keys are. */
  readonly custody: 'sealed-file' | 'pkcs11';
  readonly clock: Clock;
}

/** A root while the ceremony lasts: its certificate, and its key behind a signer. */
export interface OfflineRoot {
  readonly role: OfflineCa;
  /** Which key of this root it is, counted from 1. */
  readonly generation: number;
  readonly certificate: DerCertificate;
  readonly signer: Signer;
  readonly info: KeyInfo;
}

/** The algorithm of a root's key: the first that the profile allows, which is the policy's way to choose it. */
export const rootAlgorithm = (policy: Policy, role: OfflineCa) =>
  caProfile(policy, role).keyAlgorithms.find((one) => one !== 'RSA-2048') ?? 'P-384';

/** A root's certificate by itself. @throws KeysteadError `certificate.lint-failed`. REQ-KEY-GEN-02, REQ-KEY-SOD-01 */
export async function certifyRoot(
  role: OfflineCa,
  generation: number,
  { info, signer }: RootKey,
  making: Making,
): Promise<OfflineRoot> {
  const { policy, rehearsal, clock } = making;
  const certificate = await certify({
    profile: caProfile(policy, role),
    issuer: 'self',
    signer,
    spki: info.spki,
    // An anchor carries no address of its own status: nobody above it could revoke it.
    urls: {},
    now: clock.now(),
    rehearsal,
  });
  return { role, generation, certificate, signer, info };
}

/**
 * The certificate of an online CA for a key whose possession was proven, signed by the root.
 * @param crlSigner the certificate of who signs the indirect CRL of the root, where there is one: the CA then names it.
 */
export const certifyOnlineCa = (
  role: OnlineCa,
  root: OfflineRoot,
  spki: DerSpki,
  { policy, rehearsal, clock }: Making,
  crlSigner: DerCertificate | undefined,
): Promise<DerCertificate> =>
  certify({
    profile: caProfile(policy, role),
    issuer: root.certificate,
    signer: root.signer,
    spki,
    urls: indirectUrls(policy, statusUrls(policy, rootId('root', root.generation)), crlSigner),
    now: clock.now(),
    rehearsal,
  });

/**
 * The certificate of who signs the indirect CRL of the root. Its own status stands on the root's own list: a signer
 * whose key is stolen is revoked in a ceremony, and could call itself good on its own.
 * @throws KeysteadError `profile.unknown`.
 */
export const certifyCrlSigner = (
  root: OfflineRoot,
  spki: DerSpki,
  { policy, rehearsal, clock }: Making,
): Promise<DerCertificate> =>
  certify({
    profile: profileOf(policy, ROOT_CRL_PROFILE),
    issuer: root.certificate,
    signer: root.signer,
    spki,
    urls: statusUrls(policy, rootId('root', root.generation)),
    now: clock.now(),
    rehearsal,
  });

/**
 * The certificate of a key that signs firmware of production, by the signing root. @throws KeysteadError
 * `profile.unknown`, `certificate.lint-failed`.
 */
export const certifyFirmwareSigner = (
  root: OfflineRoot,
  key: FirmwareKey,
  spki: DerSpki,
  { policy, rehearsal, clock }: Making,
): Promise<DerCertificate> =>
  certify({
    profile: firmwareProfileOf(profileOf(policy, FIRMWARE_PROFILE), key),
    issuer: root.certificate,
    signer: root.signer,
    spki,
    urls: statusUrls(policy, rootId('signing-root', root.generation)),
    now: clock.now(),
    rehearsal,
  });

/**
 * The certificate of one key of a root by another of the same root: new with old, or old with new. It begins with the root
 * that it is for, and ends with the old root (RFC 9810 section 4.4), or before it where the policy lets the old one count
 * for a time only: by old with new, which everybody has, the old key would be believed for as long as that lasts.
 * @param of the certificate whose key is certified.
 * @param old the certificate of the older of the two; @param newer that of the other.
 */
export function certifyAcross(
  of: DerCertificate,
  by: OfflineRoot,
  { old, newer }: { readonly old: DerCertificate; readonly newer: DerCertificate },
  { policy, rehearsal, clock }: Making,
): Promise<DerCertificate> {
  const { spki, notBefore } = readCertificate(of);
  const over = transitionEnd(policy, { old, newWithOld: newer });
  const ends = [over.getTime(), readCertificate(by.certificate).notAfter.getTime()];
  return certify({
    profile: { ...caProfile(policy, by.role), issuer: by.role },
    issuer: by.certificate,
    signer: by.signer,
    spki,
    // No address of status: a root that is not believed any more is taken out of the anchors, by no CRL of its own.
    urls: {},
    now: clock.now(),
    rehearsal,
    selfIssued: true,
    validity: { notBefore, notAfter: new Date(Math.min(...ends)) },
  });
}

/** A CRL of a root, DER, good until the time that the policy gives. */
export async function rootCrl(
  root: Pick<OfflineRoot, 'certificate' | 'signer'>,
  number: number,
  entries: Iterable<RevokedEntry>,
  { policy, clock }: Making,
): Promise<DerCrl> {
  const thisUpdate = new Date(Math.floor(clock.now().getTime() / 1000) * 1000);
  const { signatureAlgorithm } = root.signer;
  const tbs = tbsCertList({
    issuer: root.certificate,
    signatureAlgorithm,
    thisUpdate,
    nextUpdate: new Date(thisUpdate.getTime() + policy.revocation.rootCrlSeconds * 1000),
    number,
    entries,
  });
  return assembleSigned(tbs, signatureAlgorithm, await root.signer.sign(tbs)) as DerCrl;
}

/** The entries of a CRL, to be carried over into the next. */
export function entriesOf(crl: DerCrl): RevokedEntry[] {
  return [...readCrl(crl).entries].map(([serial, { revokedAt, reason }]) => {
    // The two reasons that only others give stand in no CRL of a root here.
    const given = reason === 'removeFromCRL' || reason === 'aACompromise' ? undefined : reason;
    return { serial, revokedAt, reason: given };
  });
}
