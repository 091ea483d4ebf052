import type { DerCertificate, DerSpki } from '../bytes/index.ts';
import { sameBytes } from '../bytes/index.ts';
import type { Signer } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import {
  assembleSigned,
  CertificateTemplate,
  checkPublicKey,
  lintCertificate,
  namesFor,
  newSerial,
  type Profile,
  readCertificate,
  type StatusUrls,
} from '../x509/index.ts';

/** One certificate to be made slowly and with every check: for CAs, roots and signers, not for devices. */
export interface CertifyOrder {
  readonly profile: Profile;
  readonly issuer: DerCertificate | 'self';
  /** Signs with the issuer's key (for `self`, with the key that is certified). */
  readonly signer: Signer;
  /** The key to certify. Possession of it must have been proven before. */
  readonly spki: DerSpki;
  readonly urls: StatusUrls;
  readonly now: Date;
  /** Marks the certificate as one of a rehearsal: critical, so that nobody takes it. */
  readonly rehearsal?: boolean;
  /** The two keys of a root certify each other: same name, another key (RFC 9810 section 4.4). */
  readonly selfIssued?: boolean;
  /** In the place of what profile and clock give; still inside the issuer's. */
  readonly validity?: { readonly notBefore: Date; readonly notAfter: Date };
}

/**
 * Makes a certificate whose subject is fixed by its profile (CAs and signers), DER. Its validity is
 * from `backdateSeconds` before `now` to `validity.seconds` after it, but inside that of its issuer: a certificate
 * that outlives its issuer promises what it cannot keep.
 * @throws KeysteadError `name.malformed` when the profile does not fix the subject; `key.*` for the key;
 *   `certificate.lint-failed` when the lint of the signed certificate (RFC 5280 and profile) finds anything: then
 *   it leaves this function only as an error.
 */
export async function certify(order: CertifyOrder): Promise<DerCertificate> {
  const { profile, issuer, signer, spki, rehearsal, selfIssued } = order;
  checkPublicKey(spki, profile.keyAlgorithms);
  const above = issuer === 'self' ? 'self' : { certificate: issuer };
  const template = new CertificateTemplate(profile, above, order.urls, { rehearsal, selfIssued });
  const issuedAt = wholeSeconds(order.now);
  const tbs = template.tbs({
    serial: newSerial(),
    ...(order.validity ?? validityOf(profile, issuer, issuedAt)),
    ...namesFor(profile, {}),
    spki,
    signatureAlgorithm: signer.signatureAlgorithm,
  });
  const der = assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs)) as DerCertificate;
  const [finding] = lintCertificate(der, profile, issuer, { rehearsal, selfIssued });
  if (finding !== undefined) {
    throw new KeysteadError('certificate.lint-failed', {
      field: `${profile.id}: ${finding.rule}`,
      seen: `${finding.detail} (${finding.source})`,
    });
  }
  if (!sameBytes(readCertificate(der).spki, spki)) throw new KeysteadError('internal.unexpected', { field: 'spki' });
  return der;
}

function validityOf(profile: Profile, issuer: DerCertificate | 'self', issuedAt: number) {
  const { seconds, backdateSeconds } = profile.validity;
  const above = issuer === 'self' ? undefined : readCertificate(issuer);
  const begin = Math.max(issuedAt - backdateSeconds * 1000, above?.notBefore.getTime() ?? 0);
  const notBefore = new Date(begin);
  if (seconds === 'none') return { notBefore, notAfter: 'none' as const };
  const end = Math.min(issuedAt + seconds * 1000, above?.notAfter.getTime() ?? Number.POSITIVE_INFINITY);
  return { notBefore, notAfter: new Date(end) };
}

/** X.509 times are whole seconds (RFC 5280 section 4.1.2.5). */
const wholeSeconds = (time: Date): number => Math.floor(time.getTime() / 1000) * 1000;
