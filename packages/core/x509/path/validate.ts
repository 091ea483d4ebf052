import { verifySignature } from '../../crypto/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { findExtension } from '../extensions.ts';
import { formatName, sameName } from '../names.ts';
import { EXTENSIONS, type ExtendedKeyUsageName } from '../oids.ts';

/** The rule by which a path was refused, with its source in RFC 5280. */
export const PATH_RULES = {
  malformed: 'the certificate must be strict DER of RFC 5280 (4.1)',
  'no-anchor': 'a path must lead to a trust anchor (6.1)',
  signature: "each signature must verify with the issuer's key (6.1.3 (a)(1))",
  algorithm: 'keys and signatures must be of algorithms that Keystead accepts',
  'not-yet-valid': 'now must not lie before notBefore (6.1.3 (a)(2))',
  expired: 'now must not lie after notAfter (6.1.3 (a)(2))',
  'not-ca': 'an issuer must be a CA by its basic constraints (6.1.4 (k))',
  'path-length': 'a CA must not have more CAs below it than its path length allows (6.1.4 (l), (m))',
  'key-usage': 'a key must be meant for what it is used for (6.1.4 (n))',
  'ext-key-usage': 'the certificate, and the CAs that restrict it, must allow the purpose (4.2.1.12)',
  'unknown-critical': 'a critical extension that is not processed refuses the path (6.1.4 (o), 6.1.5 (f))',
} as const;
export type PathRule = keyof typeof PATH_RULES;

export interface PathFailure {
  readonly ok: false;
  readonly rule: PathRule;
  /** The subject of the certificate at fault, as `formatName` writes it. */
  readonly at: string;
  /** What was seen. */
  readonly detail: string;
}

export interface PathOptions {
  readonly now: Date;
  /** The purpose that the leaf must be for; any when left out. */
  readonly extKeyUsage?: ExtendedKeyUsageName;
  /** Whoever looks at a rehearsal itself says so; to everybody else its critical mark refuses the path. */
  readonly rehearsal?: boolean;
}

/** Critical extensions that are processed here, or that need no processing as long as no names are constrained. */
const PROCESSED = new Set<string>([
  EXTENSIONS.basicConstraints,
  EXTENSIONS.keyUsage,
  EXTENSIONS.extKeyUsage,
  EXTENSIONS.subjectAltName,
  EXTENSIONS.subjectKeyIdentifier,
  EXTENSIONS.authorityKeyIdentifier,
  // With any-policy wanted and no policy required (6.1.1 (c), (e)) no policy can refuse a path.
  EXTENSIONS.certificatePolicies,
  EXTENSIONS.ocspNoCheck,
]);
/** These narrow what a CA may do, and RFC 5280 has them critical: they refuse a path even when they are not. */
const NARROWING = new Set<string>([EXTENSIONS.nameConstraints, EXTENSIONS.policyConstraints]);

/**
 * Validates one path by RFC 5280 section 6.1, from the anchor down. The anchor is trusted for its name and key, but
 * its own validity, constraints and extensions hold as well (RFC 5937).
 * @param path from the leaf to the anchor, names chained.
 * @returns undefined when it holds; else the failure and how many certificates held before it.
 */
export function validatePath(
  path: readonly CertificateInfo[],
  options: PathOptions,
): { failure: PathFailure; held: number } | undefined {
  let above: CertificateInfo | undefined;
  let caBudget = Number.POSITIVE_INFINITY;
  for (let i = path.length - 1; i >= 0; i -= 1) {
    const certificate = path[i];
    if (certificate === undefined) break;
    const failure =
      (above === undefined ? undefined : checkSignature(certificate, above)) ??
      checkCertificate(certificate, options) ??
      (i === 0 ? checkLeaf(certificate, options) : checkCa(certificate, options, caBudget, above === undefined));
    if (failure !== undefined) return { failure, held: path.length - 1 - i };
    // 6.1.4 (l) and (m): self-issued CAs are not counted, and a path length only ever narrows.
    if (above !== undefined && !isSelfIssued(certificate)) caBudget -= 1;
    caBudget = Math.min(caBudget, certificate.pathLength ?? caBudget);
    above = certificate;
  }
  return undefined;
}

function checkSignature(certificate: CertificateInfo, issuer: CertificateInfo): PathFailure | undefined {
  const { signatureAlgorithm } = certificate;
  if (signatureAlgorithm === undefined)
    return fail('algorithm', certificate, `signed with ${certificate.signatureOid}`);
  if (issuer.keyAlgorithm === undefined) return fail('algorithm', issuer, 'a key that is not accepted');
  if (verifySignature(signatureAlgorithm, issuer.spki, certificate.tbs, certificate.signature)) return undefined;
  return fail('signature', certificate, 'a signature that does not verify');
}

function checkCertificate(certificate: CertificateInfo, { now, rehearsal }: PathOptions): PathFailure | undefined {
  if (now < certificate.notBefore) return fail('not-yet-valid', certificate, certificate.notBefore.toISOString());
  if (now > certificate.notAfter) return fail('expired', certificate, certificate.notAfter.toISOString());
  if (certificate.keyAlgorithm === undefined) return fail('algorithm', certificate, 'a key that is not accepted');
  const strange = certificate.extensions.find(
    ({ oid, critical }) =>
      (critical && !PROCESSED.has(oid) && !(rehearsal && oid === EXTENSIONS.rehearsal)) || NARROWING.has(oid),
  );
  return strange === undefined ? undefined : fail('unknown-critical', certificate, `the extension ${strange.oid}`);
}

function checkCa(
  certificate: CertificateInfo,
  options: PathOptions,
  caBudget: number,
  isAnchor: boolean,
): PathFailure | undefined {
  if (!certificate.ca) return fail('not-ca', certificate, 'a certificate that is not of a CA');
  if (has(certificate, EXTENSIONS.keyUsage) && !certificate.keyUsage.includes('keyCertSign'))
    return fail('key-usage', certificate, certificate.keyUsage.join(' '));
  if (!isAnchor && caBudget <= 0 && !isSelfIssued(certificate))
    return fail('path-length', certificate, 'one CA more than allowed');
  // Not of RFC 5280, but of all that use it in TLS: a CA with purposes gives only these.
  return has(certificate, EXTENSIONS.extKeyUsage) ? checkPurpose(certificate, options) : undefined;
}

function checkLeaf(certificate: CertificateInfo, options: PathOptions): PathFailure | undefined {
  if (options.extKeyUsage === undefined) return undefined;
  // Every purpose that Keystead checks is served by a signature: TLS 1.3 (RFC 8446 section 4.4.2), OCSP, firmware.
  if (has(certificate, EXTENSIONS.keyUsage) && !certificate.keyUsage.includes('digitalSignature'))
    return fail('key-usage', certificate, certificate.keyUsage.join(' '));
  return checkPurpose(certificate, options);
}

/** anyExtendedKeyUsage, and no extension at all, name no purpose: neither is taken for the one that is asked for. */
function checkPurpose(certificate: CertificateInfo, { extKeyUsage }: PathOptions): PathFailure | undefined {
  if (extKeyUsage === undefined || certificate.extKeyUsage.includes(extKeyUsage)) return undefined;
  return fail('ext-key-usage', certificate, certificate.extKeyUsage.join(' ') || 'no purpose');
}

const has = (certificate: CertificateInfo, oid: string): boolean =>
  findExtension(certificate.extensions, oid) !== undefined;

const isSelfIssued = (certificate: CertificateInfo): boolean => sameName(certificate.subject, certificate.issuer);

/** A refusal at one certificate. */
export const fail = (rule: PathRule, certificate: CertificateInfo, detail: string): PathFailure => ({
  ok: false,
  rule,
  at: formatName(certificate.subject),
  detail,
});
