import { sameBytes, toHex } from '../../bytes/index.ts';
import { canSign } from '../algorithms.ts';
import { type DistributionPoint, readDistributionPoints } from '../crl/points.ts';
import { DerError } from '../der/strict.ts';
import { type Extension, findExtension } from '../extensions.ts';
import { keyIdentifier } from '../key-identifier.ts';
import { sameName } from '../names.ts';
import { EXTENSIONS, type ExtensionName } from '../oids.ts';
import { ComparisonBudget, NameSpace } from '../path/name-constraints.ts';
import type { LintCase, Rule } from './rule.ts';

const has = ({ info }: LintCase, name: ExtensionName): Extension | undefined =>
  info.extensions.find((extension) => extension.oid === EXTENSIONS[name]);

/** RFC 5280 fixes the flag of each: these are never critical. */
const NEVER_CRITICAL: readonly ExtensionName[] = [
  'subjectKeyIdentifier',
  'authorityKeyIdentifier',
  'authorityInfoAccess',
  'cRLDistributionPoints',
  'freshestCRL',
  'ocspNoCheck',
];

/** The usages of which at least one must stand beside an extended usage (RFC 5280 section 4.2.1.12). */
const USAGE_FOR: Readonly<Record<string, readonly string[]>> = {
  serverAuth: ['digitalSignature', 'keyEncipherment', 'keyAgreement'],
  clientAuth: ['digitalSignature', 'keyAgreement'],
  codeSigning: ['digitalSignature'],
  emailProtection: ['digitalSignature', 'nonRepudiation', 'keyEncipherment', 'keyAgreement'],
  timeStamping: ['digitalSignature', 'nonRepudiation'],
  OCSPSigning: ['digitalSignature', 'nonRepudiation'],
};

/** The string types that RFC 5280 appendix A.1 and section 4.1.2.4 give to attributes; all others: UTF8 or Printable. */
const STRING_TYPES: Readonly<Record<string, readonly number[]>> = {
  C: [0x13],
  serialNumber: [0x13],
  DC: [0x16],
  emailAddress: [0x16],
};

const UPPER_BOUND: Readonly<Record<string, number>> = { CN: 64, O: 64, OU: 64, serialNumber: 64, C: 2 };

/** What the cRLIssuer of a distribution point has against it. */
function crlIssuerFault(lintCase: LintCase, name: 'cRLDistributionPoints' | 'freshestCRL'): string | undefined {
  const extension = has(lintCase, name);
  if (extension === undefined) return undefined;
  for (const { crlIssuers, reasons } of pointsOf(extension)) {
    if (crlIssuers === undefined) continue;
    if (crlIssuers.length === 0) return 'the issuer of the CRL has no directory name';
    if (crlIssuers.some(({ rdns }) => rdns.length === 0)) return 'the name of the issuer of the CRL is empty';
    // Whoever takes the list for a direct one would look for its entries under the wrong issuer.
    if (crlIssuers.some((issuer) => sameName(issuer, lintCase.info.issuer)))
      return 'the issuer of the certificate is named as the issuer of an indirect CRL';
    if (reasons !== undefined) return 'an indirect CRL for some reasons only';
  }
  return undefined;
}

/** None where they cannot be read; a relying party takes nothing from those either. */
function pointsOf(extension: Extension): readonly DistributionPoint[] {
  try {
    return readDistributionPoints(extension.value);
  } catch (error) {
    if (error instanceof DerError) return [];
    throw error;
  }
}

/** The rules of RFC 5280 for what a conforming CA makes. `check` returns what is wrong, or undefined. */
export const RFC5280_RULES: readonly Rule[] = [
  {
    rule: 'version',
    source: 'RFC 5280 4.1.2.1',
    check: ({ raw }) => (raw.version === 3 ? undefined : `v${raw.version}`),
  },
  {
    rule: 'serial-positive',
    source: 'RFC 5280 4.1.2.2',
    check: ({ raw }) =>
      (raw.serial[0] ?? 0) & 0x80 || raw.serial.every((octet) => octet === 0) ? toHex(raw.serial) : undefined,
  },
  {
    rule: 'serial-length',
    source: 'RFC 5280 4.1.2.2',
    check: ({ raw }) => (raw.serial.length > 20 ? `${raw.serial.length} octets` : undefined),
  },
  {
    rule: 'serial-entropy',
    source: 'CA/B Forum BR 7.1',
    check: ({ raw }) => (raw.serial.length < 8 ? `${raw.serial.length} octets` : undefined),
  },
  {
    rule: 'signature-algorithm',
    source: 'RFC 5280 4.1.1.2',
    check: ({ info, issuer }) => {
      const signer = (issuer ?? info).keyAlgorithm;
      const algorithm = info.signatureAlgorithm;
      return signer !== undefined && algorithm !== undefined && canSign(signer, algorithm)
        ? undefined
        : `${info.signatureOid} by a key of ${signer ?? 'no known kind'}`;
    },
  },
  {
    rule: 'signature-strength',
    source: 'SP 800-57 pt 1 r5 5.6.2',
    check: ({ info, issuer }) =>
      (issuer ?? info).keyAlgorithm === 'P-384' && info.signatureAlgorithm === 'ecdsa-with-SHA256'
        ? 'SHA-256 with a P-384 key'
        : undefined,
  },
  {
    rule: 'issuer-empty',
    source: 'RFC 5280 4.1.2.4',
    check: ({ info }) => (info.issuer.rdns.length === 0 ? 'no attribute' : undefined),
  },
  {
    rule: 'issuer-name',
    source: 'RFC 5280 4.1.2.4',
    check: ({ info, issuer }) =>
      sameBytes(info.issuerDer, issuer?.subjectDer ?? info.subjectDer)
        ? undefined
        : 'not the subject of the issuer, octet by octet',
  },
  {
    rule: 'issuer-is-subject',
    source: 'RFC 5280 6.1',
    check: ({ info, issuer, selfIssued }) => {
      const same = issuer !== undefined && sameBytes(info.subjectDer, issuer.subjectDer);
      if (selfIssued) return same ? undefined : 'the subject is not that of the issuer';
      return same ? 'the subject is that of the issuer' : undefined;
    },
  },
  {
    rule: 'validity-order',
    source: 'RFC 5280 4.1.2.5',
    check: ({ info }) => (info.notBefore < info.notAfter ? undefined : 'notAfter is not after notBefore'),
  },
  {
    rule: 'validity-encoding',
    source: 'RFC 5280 4.1.2.5',
    check: ({ info, raw }) => {
      const right = (time: Date, tag: number) => tag === (time.getUTCFullYear() < 2050 ? 0x17 : 0x18);
      return right(info.notBefore, raw.notBeforeTag) && right(info.notAfter, raw.notAfterTag)
        ? undefined
        : 'UTCTime is for years to 2049, GeneralizedTime for those after';
    },
  },
  {
    rule: 'validity-nesting',
    source: 'RFC 5280 6.1.3',
    check: ({ info, issuer }) =>
      issuer === undefined || info.notAfter <= issuer.notAfter || info.notAfter.getUTCFullYear() === 9999
        ? undefined
        : 'notAfter is after that of the issuer',
  },
  {
    rule: 'subject-empty',
    source: 'RFC 5280 4.1.2.6',
    check: ({ info, ...rest }) => {
      if (info.subject.rdns.length > 0) return undefined;
      if (info.ca) return 'a CA has a subject';
      const san = has({ info, ...rest }, 'subjectAltName');
      return san?.critical ? undefined : 'an empty subject needs a critical subjectAltName';
    },
  },
  {
    rule: 'name-string-type',
    source: 'RFC 5280 4.1.2.4',
    check: ({ raw }) => {
      const wrong = raw.subject.find(({ type, tag }) => !(STRING_TYPES[type] ?? [0x0c, 0x13]).includes(tag));
      return wrong === undefined ? undefined : `${wrong.type} is a string of tag ${wrong.tag.toString(16)}`;
    },
  },
  {
    rule: 'name-length',
    source: 'RFC 5280 A.1',
    check: ({ info }) => {
      const wrong = info.subject.rdns.find(
        ({ type, value }) => value.length === 0 || [...value].length > (UPPER_BOUND[type] ?? 256),
      );
      return wrong === undefined ? undefined : `${wrong.type} has ${wrong.value.length} characters`;
    },
  },
  {
    rule: 'unique-identifiers',
    source: 'RFC 5280 4.1.2.8',
    check: ({ raw }) => (raw.uniqueIdentifiers ? 'a unique identifier' : undefined),
  },
  {
    rule: 'key-algorithm',
    source: 'RFC 5280 4.1.2.7',
    check: ({ info }) => (info.keyAlgorithm === undefined ? 'a key of no known kind' : undefined),
  },
  {
    rule: 'key-strength',
    source: 'SP 800-57 pt 1 r5 table 2',
    check: ({ info }) => (info.keyAlgorithm === 'RSA-2048' ? 'RSA-2048 has 112 bits of strength' : undefined),
  },
  {
    rule: 'key-of-issuer',
    source: 'RFC 5280 4.2.1.1',
    check: ({ info, issuer }) =>
      issuer !== undefined && sameBytes(info.spki, issuer.spki) ? 'the key is that of the issuer' : undefined,
  },
  {
    rule: 'extension-critical-flag',
    source: 'RFC 5280 4.2',
    check: (lintCase) => {
      const wrong = NEVER_CRITICAL.find((name) => has(lintCase, name)?.critical);
      return wrong === undefined ? undefined : `${wrong} is critical`;
    },
  },
  {
    rule: 'ski',
    source: 'RFC 5280 4.2.1.2',
    check: ({ info }) => {
      if (info.ski === undefined) return 'subjectKeyIdentifier is missing';
      return info.ski === toHex(keyIdentifier(info.keyBits)) ? undefined : 'not the RFC 7093 method 1 hash of the key';
    },
  },
  {
    rule: 'aki',
    source: 'RFC 5280 4.2.1.1',
    check: ({ info, issuer, raw }) => {
      if (info.aki === undefined) return 'the keyIdentifier of authorityKeyIdentifier is missing';
      if (raw.akiNamesIssuer) return 'authorityKeyIdentifier names the issuer by name and serial number';
      return info.aki === (issuer ?? info).ski ? undefined : 'not the subjectKeyIdentifier of the issuer';
    },
  },
  {
    rule: 'key-usage',
    source: 'RFC 5280 4.2.1.3',
    check: (lintCase) => {
      const extension = has(lintCase, 'keyUsage');
      if (extension === undefined) return 'missing';
      return extension.critical ? undefined : 'not critical';
    },
  },
  {
    rule: 'key-usage-of-ca',
    source: 'RFC 5280 4.2.1.9',
    check: ({ info }) =>
      info.ca === info.keyUsage.includes('keyCertSign') ? undefined : 'keyCertSign and cA must go together',
  },
  {
    rule: 'key-usage-of-key',
    source: 'RFC 8813 3, RFC 8410 5',
    check: ({ info }) => {
      const wrong = ['keyEncipherment', 'dataEncipherment'].find((usage) => info.keyUsage.includes(usage));
      return wrong !== undefined && !info.keyAlgorithm?.startsWith('RSA')
        ? `${wrong} for ${info.keyAlgorithm}`
        : undefined;
    },
  },
  {
    rule: 'basic-constraints',
    source: 'RFC 5280 4.2.1.9',
    check: (lintCase) => {
      const extension = has(lintCase, 'basicConstraints');
      if (lintCase.info.ca) return extension?.critical ? undefined : 'not critical in a CA';
      return extension === undefined ? undefined : 'present in an end entity';
    },
  },
  {
    rule: 'name-constraints',
    source: 'RFC 5280 4.2.1.10',
    check: (lintCase) => {
      const extension = has(lintCase, 'nameConstraints');
      if (extension === undefined) return undefined;
      if (!lintCase.info.ca) return 'present in an end entity';
      return extension.critical ? undefined : 'not critical';
    },
  },
  {
    rule: 'names-permitted',
    source: 'RFC 5280 6.1.3',
    check: ({ info, issuer }) => {
      const constraints =
        issuer === undefined ? undefined : findExtension(issuer.extensions, EXTENSIONS.nameConstraints);
      if (constraints === undefined) return undefined;
      const space = new NameSpace(new ComparisonBudget());
      try {
        space.narrow(constraints.value);
        return space.objection(info)?.detail;
      } catch (error) {
        if (error instanceof DerError) return error.message;
        throw error;
      }
    },
  },
  {
    rule: 'issuer-may-sign',
    source: 'RFC 5280 4.2.1.9',
    check: ({ info, issuer, selfIssued }) => {
      if (issuer === undefined) return undefined;
      if (!issuer.ca || !issuer.keyUsage.includes('keyCertSign')) return 'the issuer is not a CA';
      if (!info.ca || issuer.pathLength === undefined || selfIssued) return undefined;
      return (info.pathLength ?? Number.POSITIVE_INFINITY) < issuer.pathLength
        ? undefined
        : `pathLength ${info.pathLength ?? 'without limit'} below an issuer with ${issuer.pathLength}`;
    },
  },
  {
    rule: 'alternative-name',
    source: 'RFC 5280 4.2.1.6',
    check: (lintCase) => {
      const extension = has(lintCase, 'subjectAltName');
      if (extension?.critical && lintCase.info.subject.rdns.length > 0) return 'critical beside a subject';
      const wrong = lintCase.info.san.find((name) => {
        if (name.startsWith('URI:')) return !/^URI:[A-Za-z][A-Za-z0-9+.-]*:.+$/.test(name);
        if (name.startsWith('DNS:')) return !/^DNS:(?:\*\.)?(?!-)[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})*$/.test(name);
        return !name.startsWith('IP:');
      });
      return wrong;
    },
  },
  {
    rule: 'extended-key-usage',
    source: 'RFC 5280 4.2.1.12',
    check: ({ info }) => {
      const wrong = info.extKeyUsage.find((purpose) => {
        const usages = USAGE_FOR[purpose];
        return usages !== undefined && !usages.some((usage) => info.keyUsage.includes(usage));
      });
      if (wrong !== undefined) return `${wrong} without a key usage that it needs`;
      const stamps = info.extKeyUsage.includes('timeStamping');
      // RFC 3161 section 2.3: alone, and critical.
      if (
        stamps &&
        (info.extKeyUsage.length > 1 || findExtension(info.extensions, EXTENSIONS.extKeyUsage)?.critical !== true)
      )
        return 'timeStamping that is not critical, or not alone';
      return info.extKeyUsage.includes('2.5.29.37.0') ? 'anyExtendedKeyUsage' : undefined;
    },
  },
  {
    rule: 'status-url',
    source: 'RFC 5280 4.2.1.13',
    check: ({ info }) =>
      [
        ...info.crlUrls,
        ...info.indirectCrls.flatMap(({ urls }) => urls),
        ...info.freshestUrls,
        ...info.ocspUrls,
        ...info.caIssuersUrls,
      ].find((url) => !/^http:\/\/[^/\s]+\/\S*$/.test(url)),
  },
  {
    rule: 'crl-issuer',
    source: 'RFC 5280 4.2.1.13',
    check: (lintCase) => crlIssuerFault(lintCase, 'cRLDistributionPoints') ?? crlIssuerFault(lintCase, 'freshestCRL'),
  },
  {
    rule: 'ocsp-no-check',
    source: 'RFC 6960 4.2.2.2.1',
    check: (lintCase) => {
      const extension = has(lintCase, 'ocspNoCheck');
      if (extension === undefined) return undefined;
      if (toHex(extension.value) !== '0500') return 'the value is not NULL';
      return lintCase.info.extKeyUsage.includes('OCSPSigning') ? undefined : 'not an OCSP responder';
    },
  },
];
