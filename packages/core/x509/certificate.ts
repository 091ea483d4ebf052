import type { CertSha256, DerCertificate, DerSpki, Serial, SpkiSha256 } from '../bytes/index.ts';
import { certSha256, type KeyAlgorithm, type SignatureAlgorithm, spkiSha256 } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { readSignatureAlgorithm } from './algorithms.ts';
import { type IndirectCrl, readIndirectCrls } from './crl/points.ts';
import { DerError, type DerNode, readDer, readInteger, readOctetBits, readTime } from './der/strict.ts';
import {
  type Extension,
  findExtension,
  readAltName,
  readAuthorityInfoAccess,
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readCrlUrls,
  readExtensions,
  readExtKeyUsage,
  readKeyUsage,
  readSubjectKeyIdentifier,
} from './extensions.ts';
import { type DistinguishedName, readName } from './names.ts';
import { EXTENSIONS } from './oids.ts';
import { serialOf } from './serial.ts';
import { readPublicKey } from './spki.ts';

/** No certificate that is of use comes near it. */
const MAX_CERTIFICATE_BYTES = 64 * 1024;

/** All that Keystead reads from a certificate (RFC 5280). The byte fields are views of `der`. */
export interface CertificateInfo {
  readonly der: DerCertificate;
  readonly serial: Serial;
  readonly subject: DistinguishedName;
  readonly issuer: DistinguishedName;
  readonly subjectDer: Uint8Array;
  readonly issuerDer: Uint8Array;
  readonly spki: DerSpki;
  /** The content of the key's BIT STRING: what key identifiers are hashes of. */
  readonly keyBits: Uint8Array;
  /** Undefined for an algorithm or size that Keystead does not use. */
  readonly keyAlgorithm: KeyAlgorithm | undefined;
  readonly notBefore: Date;
  /** 99991231235959Z, no well-defined end, is 9999-12-31T23:59:59Z. */
  readonly notAfter: Date;
  readonly ca: boolean;
  readonly pathLength?: number;
  /** Names in the order of the bits; empty when the extension is not there. */
  readonly keyUsage: readonly string[];
  /** Names, or dotted OIDs of others; empty when the extension is not there. */
  readonly extKeyUsage: readonly string[];
  /** Entries such as `URI:urn:keystead:device:pump-1`. */
  readonly san: readonly string[];
  /** Hex. */
  readonly ski?: string;
  readonly aki?: string;
  /** Of CRLs that the issuer itself signs, for all reasons. */
  readonly crlUrls: readonly string[];
  /** Of CRLs that another signs for the issuer, as its distribution points name it (RFC 5280 section 4.2.1.13). */
  readonly indirectCrls: readonly IndirectCrl[];
  /** Of delta CRLs. */
  readonly freshestUrls: readonly string[];
  readonly ocspUrls: readonly string[];
  readonly caIssuersUrls: readonly string[];
  readonly ocspNoCheck: boolean;
  readonly extensions: readonly Extension[];
  readonly sha256: CertSha256;
  readonly spkiSha256: SpkiSha256;
  /** Undefined for an algorithm that Keystead does not use; its OID stands in `signatureOid`. */
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly signatureOid: string;
  /** The signed part: TBSCertificate. */
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * Reads a certificate, DER, in full. It verifies no signature and checks no time.
 * @throws KeysteadError `cert.not-der` for anything but strict DER of an X.509 v3 (or v1) certificate.
 */
export function readCertificate(der: Uint8Array): CertificateInfo {
  if (der.length > MAX_CERTIFICATE_BYTES)
    throw new KeysteadError('cert.not-der', { field: 'certificate', seen: `${der.length} bytes` });
  try {
    return readSigned(readDer(der));
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('cert.not-der', { field: 'certificate', seen: cause.message, cause });
    throw cause;
  }
}

function readSigned(root: DerNode): CertificateInfo {
  root.expect(0x30, 'the certificate').counted(3, 3, 'the certificate');
  const tbs = root.child(0, 0x30, 'tbsCertificate').counted(6, 10, 'tbsCertificate');
  const signatureAlgorithm = root.child(1, 0x30, 'signatureAlgorithm');
  const signature = readOctetBits(root.child(2, 0x03, 'the signature'), 'the signature');

  const version = tbs.children[0]?.tag === 0xa0 ? readVersion(tbs.children[0]) : 1;
  const at = version === 1 ? 0 : 1;
  const serial = tbs.child(at, 0x02, 'the serial number').value;
  const inner = tbs.child(at + 1, 0x30, 'signature');
  // RFC 5280 section 4.1.1.2: the outer algorithm, which nothing signs, is the same as the inner.
  if (Buffer.compare(inner.bytes, signatureAlgorithm.bytes) !== 0)
    throw new DerError('the two signature algorithms are not the same');
  const { oid, algorithm } = readSignatureAlgorithm(inner, 'signature');
  const issuer = tbs.child(at + 2, 0x30, 'the issuer');
  const validity = tbs.child(at + 3, 0x30, 'the validity').counted(2, 2, 'the validity');
  const subject = tbs.child(at + 4, 0x30, 'the subject');
  const key = readPublicKey(tbs.child(at + 5, 0x30, 'subjectPublicKeyInfo'));
  const extensions = readOptional(tbs.children.slice(at + 6), version);

  const value = <T>(id: string, read: (der: Uint8Array) => T): T | undefined => {
    const extension = findExtension(extensions, id);
    return extension === undefined ? undefined : read(extension.value);
  };
  const basic = value(EXTENSIONS.basicConstraints, readBasicConstraints);
  const access = value(EXTENSIONS.authorityInfoAccess, readAuthorityInfoAccess);
  return {
    der: root.bytes as DerCertificate,
    serial: serialOf(serial),
    subject: readName(subject, 'the subject'),
    issuer: readName(issuer, 'the issuer'),
    subjectDer: subject.bytes,
    issuerDer: issuer.bytes,
    spki: key.spki,
    keyBits: key.keyBits,
    keyAlgorithm: key.keyAlgorithm,
    notBefore: readTime(validity.children[0], 'notBefore'),
    notAfter: readTime(validity.children[1], 'notAfter'),
    ca: basic?.ca ?? false,
    pathLength: basic?.pathLength,
    keyUsage: value(EXTENSIONS.keyUsage, readKeyUsage) ?? [],
    extKeyUsage: value(EXTENSIONS.extKeyUsage, readExtKeyUsage) ?? [],
    san: value(EXTENSIONS.subjectAltName, readAltName) ?? [],
    ski: value(EXTENSIONS.subjectKeyIdentifier, readSubjectKeyIdentifier),
    aki: value(EXTENSIONS.authorityKeyIdentifier, readAuthorityKeyIdentifier),
    crlUrls: value(EXTENSIONS.cRLDistributionPoints, readCrlUrls) ?? [],
    indirectCrls: value(EXTENSIONS.cRLDistributionPoints, readIndirectCrls) ?? [],
    // RFC 5280 section 4.2.1.15: the same syntax.
    freshestUrls: value(EXTENSIONS.freshestCRL, readCrlUrls) ?? [],
    ocspUrls: access?.ocsp ?? [],
    caIssuersUrls: access?.caIssuers ?? [],
    ocspNoCheck: findExtension(extensions, EXTENSIONS.ocspNoCheck) !== undefined,
    extensions,
    sha256: certSha256(root.bytes),
    spkiSha256: spkiSha256(key.spki),
    signatureAlgorithm: algorithm,
    signatureOid: oid,
    tbs: tbs.bytes,
    signature,
  };
}

function readVersion(node: DerNode): 2 | 3 {
  const value = readInteger(node.counted(1, 1, 'the version').child(0, 0x02, 'the version'), 'the version');
  if (value !== 1n && value !== 2n) throw new DerError('the version is neither v2 nor v3');
  return value === 1n ? 2 : 3;
}

/** The unique identifiers [1] and [2], which are passed over, and the extensions [3]. */
function readOptional(rest: readonly DerNode[], version: 1 | 2 | 3): readonly Extension[] {
  let extensions: readonly Extension[] = [];
  let last = 0;
  for (const node of rest) {
    const number = node.tag & 0x1f;
    if (![0x81, 0x82, 0xa3].includes(node.tag) || number <= last)
      throw new DerError('tbsCertificate has an element of no known kind');
    if (version === 1 || (number === 3 && version !== 3))
      throw new DerError(`a v${version} certificate has fields of a later version`);
    last = number;
    if (number === 3) {
      const [list] = node.counted(1, 1, 'the extensions').children;
      if (list !== undefined) extensions = readExtensions(list, 'the extensions');
    }
  }
  return extensions;
}
