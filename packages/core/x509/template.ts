import { type DerCertificate, fromHex } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { signatureAlgorithmDer } from './algorithms.ts';
import { assembleSigned } from './assemble.ts';
import { type CertificateInfo, readCertificate } from './certificate.ts';
import {
  booleanTrue,
  context,
  contextPrimitive,
  generalizedTime,
  integer,
  integerFromBytes,
  namedBits,
  nullValue,
  octetString,
  oid,
  sequence,
  time,
  utf8String,
} from './der/writer.ts';
import { generalNameDer, generalNamesDer } from './general-names.ts';
import { keyIdentifier } from './key-identifier.ts';
import { lintInfo } from './lint/certificate.ts';
import type { LintFinding } from './lint/finding.ts';
import { specimenOf } from './lint/specimen.ts';
import { lintValues } from './lint/values.ts';
import { nameConstraintsDer } from './name-constraints.ts';
import { type DistinguishedName, nameDer } from './names.ts';
import { ACCESS_METHODS, EXTENDED_KEY_USAGES, EXTENSIONS, KEY_USAGES } from './oids.ts';
import type { Profile } from './profile.ts';
import { readSpki } from './spki.ts';
import { type CertificateValues, type Issuance, type IssuanceOptions, NO_END, type StatusUrls } from './values.ts';

const VERSION_3 = context(0, integer(2));

/**
 * The certificates of one profile and issuer. All that is the same in each is encoded once; what differs is put in
 * between, in microseconds. A profile or issuer that would give a certificate against RFC 5280 is refused when the
 * template is made, not at the first certificate.
 */
export class CertificateTemplate implements Issuance {
  readonly profile: Profile;
  /** Undefined for a self-signed certificate. */
  readonly issuer: CertificateInfo | undefined;
  readonly urls: StatusUrls;
  readonly rehearsal: boolean;
  readonly selfIssued: boolean;
  readonly #staticExtensions: Uint8Array;

  /**
   * @throws KeysteadError `cert.not-der` for the issuer; `certificate.lint-failed` when a specimen certificate
   *   breaks a rule, with the rule and its source in `seen`.
   */
  constructor(
    profile: Profile,
    issuer: { certificate: DerCertificate } | 'self',
    urls: StatusUrls,
    options: IssuanceOptions = {},
  ) {
    this.profile = profile;
    this.issuer = issuer === 'self' ? undefined : readCertificate(issuer.certificate);
    this.urls = urls;
    this.rehearsal = options.rehearsal === true;
    this.selfIssued = options.selfIssued === true;
    if ((issuer === 'self') !== (profile.issuer === 'self'))
      throw new KeysteadError('certificate.lint-failed', {
        field: 'issuer',
        seen: `the profile ${profile.id} is issued by ${profile.issuer}`,
      });
    this.#staticExtensions = Buffer.concat([...this.#encodeStatic()]);
    const specimen = specimenOf(this);
    refuse(lintValues(this, specimen));
    const signed = assembleSigned(this.encode(specimen), specimen.signatureAlgorithm, new Uint8Array(64));
    refuse(lintInfo(readCertificate(signed), this));
  }

  /**
   * The TBSCertificate, DER, after {@link lintValues} found nothing against `values`.
   * @throws KeysteadError `certificate.lint-failed`, `name.malformed`
   */
  tbs(values: CertificateValues): Uint8Array {
    refuse(lintValues(this, values));
    return this.encode(values);
  }

  /** {@link tbs} without the lint: for the specimen, and for tests that need what must never be signed. */
  encode(values: CertificateValues): Uint8Array {
    const subject = nameDer(values.subject);
    const ski = keyIdentifier(readSpki(values.spki).keyBits);
    const dynamic = [extension('subjectKeyIdentifier', octetString(ski))];
    const aki = this.issuer === undefined ? ski : this.issuer.ski === undefined ? undefined : fromHex(this.issuer.ski);
    if (aki !== undefined) dynamic.push(extension('authorityKeyIdentifier', sequence(contextPrimitive(0, aki))));
    if (values.san.length > 0) {
      // RFC 5280 section 4.1.2.6: with an empty subject the alternative name is all there is, so it is critical.
      const critical = values.subject.rdns.length === 0;
      dynamic.push(extension('subjectAltName', generalNamesDer(values.san), critical));
    }
    return sequence(
      VERSION_3,
      integerFromBytes(fromHex(values.serial)),
      signatureAlgorithmDer(values.signatureAlgorithm),
      this.issuer === undefined ? subject : this.issuer.subjectDer,
      sequence(time(values.notBefore), values.notAfter === 'none' ? generalizedTime(NO_END) : time(values.notAfter)),
      subject,
      values.spki,
      context(3, sequence(this.#staticExtensions, ...dynamic)),
    );
  }

  *#encodeStatic(): Generator<Uint8Array> {
    const { profile, urls } = this;
    if (this.rehearsal) yield extension('rehearsal', utf8String('REHEARSAL, NOT FOR USE'), true);
    if (profile.ca !== false) {
      const { pathLength } = profile.ca;
      const constraints = pathLength === null ? [booleanTrue()] : [booleanTrue(), integer(pathLength)];
      // RFC 5280 section 4.2.1.9: critical in a CA; an end entity has none, for cA is FALSE by default.
      yield extension('basicConstraints', sequence(...constraints), true);
      // RFC 5280 section 4.2.1.10: critical.
      if (profile.ca.permitted !== undefined) {
        yield extension('nameConstraints', nameConstraintsDer(profile.ca.permitted), true);
      }
    }
    yield extension('keyUsage', namedBits(profile.keyUsage.map((usage) => KEY_USAGES.indexOf(usage))), true);
    if (profile.extKeyUsage.length > 0) {
      const usages = profile.extKeyUsage.map((usage) => oid(EXTENDED_KEY_USAGES[usage]));
      // RFC 3161 section 2.3: of a TSA it is critical; of others RFC 5280 leaves it open.
      yield extension('extKeyUsage', sequence(...usages), profile.extKeyUsage.includes('timeStamping'));
    }
    // RFC 6960 section 4.2.2.2.1: the value is NULL and it is not critical.
    if (profile.ocspNoCheck) yield extension('ocspNoCheck', nullValue());
    if (urls.crl !== undefined || urls.crlIssuer !== undefined)
      yield extension('cRLDistributionPoints', distributionPoint(urls.crl, urls.crlIssuer));
    // RFC 5280 section 4.2.1.15: not critical.
    if (urls.freshest !== undefined) yield extension('freshestCRL', distributionPoint(urls.freshest, urls.crlIssuer));
    const access: Uint8Array[] = [];
    if (urls.ocsp !== undefined) access.push(sequence(oid(ACCESS_METHODS.ocsp), uriName(urls.ocsp)));
    if (urls.caIssuers !== undefined) access.push(sequence(oid(ACCESS_METHODS.caIssuers), uriName(urls.caIssuers)));
    if (access.length > 0) yield extension('authorityInfoAccess', sequence(...access));
  }
}

/** One URI GeneralName, without the SEQUENCE around it. */
const uriName = (url: string): Uint8Array => generalNameDer(`URI:${url}`);

/**
 * CRLDistributionPoints with one point, for all reasons: from the issuer itself, or from `crlIssuer`, whose name is
 * encoded as it stands in the CRL (RFC 5280 section 4.2.1.13).
 */
function distributionPoint(url: string | undefined, crlIssuer: DistinguishedName | undefined): Uint8Array {
  const name = url === undefined ? [] : [context(0, context(0, uriName(url)))];
  // GeneralNames [2] IMPLICIT, with one directoryName [4], which is EXPLICIT, for Name is a CHOICE.
  const signer = crlIssuer === undefined ? [] : [context(2, context(4, nameDer(crlIssuer)))];
  return sequence(sequence(...name, ...signer));
}

function extension(name: keyof typeof EXTENSIONS, value: Uint8Array, critical = false): Uint8Array {
  const id = oid(EXTENSIONS[name]);
  return critical ? sequence(id, booleanTrue(), octetString(value)) : sequence(id, octetString(value));
}

/** @throws KeysteadError `certificate.lint-failed` with the first finding, when there is one. */
export function refuse(findings: readonly LintFinding[]): void {
  const [first] = findings;
  if (first === undefined) return;
  throw new KeysteadError('certificate.lint-failed', {
    field: first.rule,
    seen: `${first.detail} (${first.source})`,
  });
}
