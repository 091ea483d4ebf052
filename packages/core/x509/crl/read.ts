import type { DerCertificate, Serial } from '../../bytes/index.ts';
import { type SignatureAlgorithm, verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readSignatureAlgorithm } from '../algorithms.ts';
import { readCertificate } from '../certificate.ts';
import { DerError, type DerNode, readDer, readHeader, readInteger, readOctetBits, readTime } from '../der/strict.ts';
import { type Extension, findExtension, readAuthorityKeyIdentifier, readExtensions } from '../extensions.ts';
import { type DistinguishedName, readName, sameName } from '../names.ts';
import { EXTENSIONS } from '../oids.ts';
import { serialOf } from '../serial.ts';
import { type CrlReason, reasonOf } from './reasons.ts';

/** Far above a CRL of a million entries (50 MB); it keeps a hostile one from filling the memory. */
export const MAX_CRL_BYTES = 128 * 1024 * 1024;
/** RFC 5280 section 5.2.3: a CRL number has at most 20 octets; Keystead counts in safe integers. */
const MAX_NUMBER_OCTETS = 20;
/** RFC 5280 section 4.1.2.2: 20 octets, and one for the sign. */
export const MAX_SERIAL_OCTETS = 21;

/** A CRL as read. The byte fields are views of the DER. */
export interface CrlInfo {
  readonly issuer: DistinguishedName;
  readonly issuerDer: Uint8Array;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** The CRL number; exact up to 2^53. */
  readonly number: number;
  /** The authority key identifier, hex. */
  readonly aki?: string;
  readonly signatureAlgorithm: SignatureAlgorithm | undefined;
  readonly entries: ReadonlyMap<Serial, { readonly revokedAt: Date; readonly reason?: CrlReason }>;
  /**
   * Whether `issuer` is the CA of this CRL: its name, its key identifier, its right to sign CRLs, and the signature.
   * The times are for the caller to look at.
   */
  verify(issuer: DerCertificate): boolean;
}

/**
 * Reads a full version 2 CRL (RFC 5280 section 5), strictly. Delta, indirect and partitioned CRLs carry a critical
 * extension that says so; they are refused, for to treat one as full would take a revoked certificate for good.
 * @throws KeysteadError `crl.malformed`, or `crl.unsupported` for critical extensions.
 */
export function readCrl(der: Uint8Array): CrlInfo {
  if (der.length > MAX_CRL_BYTES)
    throw new KeysteadError('crl.malformed', { field: 'crl', seen: `${der.length} bytes` });
  try {
    return readSigned(der);
  } catch (cause) {
    if (cause instanceof DerError)
      throw new KeysteadError('crl.malformed', { field: 'crl', seen: cause.message, cause });
    throw cause;
  }
}

function readSigned(der: Uint8Array): CrlInfo {
  const [tbs, outer, signatureNode] = signedParts(der);
  const fields = shallowChildren(der, tbs);
  const head = readHead(fields);
  if (Buffer.compare(head.algorithmDer, outer.bytes) !== 0)
    throw new DerError('the two signature algorithms are not the same');
  const { algorithm } = readSignatureAlgorithm(readDer(outer.bytes), 'signatureAlgorithm');
  const signature = readOctetBits(readDer(signatureNode.bytes), 'the signature');

  const rest = fields.slice(5);
  const list = rest[0]?.tag === 0x30 ? rest.shift() : undefined;
  const tagged = rest.shift();
  if (tagged === undefined || rest.length > 0) throw new DerError('a version 2 CRL ends with its extensions');
  const wrapper = readDer(tagged.expect(0xa0, 'the CRL extensions').bytes).counted(1, 1, 'the CRL extensions');
  const extensions = readExtensions(wrapper.child(0, 0x30, 'the CRL extensions'), 'the CRL extensions');
  refuseCritical(extensions, 'the CRL');
  const identifier = findExtension(extensions, EXTENSIONS.authorityKeyIdentifier);
  const aki = identifier === undefined ? undefined : readAuthorityKeyIdentifier(identifier.value);
  return {
    issuer: head.issuer,
    issuerDer: head.issuerDer,
    thisUpdate: head.thisUpdate,
    nextUpdate: head.nextUpdate,
    number: readNumber(findExtension(extensions, EXTENSIONS.cRLNumber)),
    aki,
    signatureAlgorithm: algorithm,
    entries: readEntries(der, list),
    verify(issuerDer) {
      const issuer = readCertificate(issuerDer);
      if (!sameName(issuer.subject, head.issuer)) return false;
      if (aki !== undefined && issuer.ski !== undefined && aki !== issuer.ski) return false;
      // RFC 5280 section 6.3.3 (f).
      if (findExtension(issuer.extensions, EXTENSIONS.keyUsage) !== undefined && !issuer.keyUsage.includes('cRLSign'))
        return false;
      return algorithm !== undefined && verifySignature(algorithm, issuer.spki, tbs.bytes, signature);
    },
  };
}

/** The three parts of a CertificateList, by their headers. */
export function signedParts(der: Uint8Array): [DerNode, DerNode, DerNode] {
  const root = readHeader(der, 0, der.length).expect(0x30, 'the CRL');
  if (root.end !== der.length) throw new DerError(`${der.length - root.end} bytes after the end`);
  const [tbs, algorithm, signature, ...more] = shallowChildren(der, root);
  if (tbs === undefined || algorithm === undefined || signature === undefined || more.length > 0)
    throw new DerError('the CRL has not three elements');
  return [tbs.expect(0x30, 'tbsCertList'), algorithm, signature];
}

/** What stands before the entries. `fields` are the elements of tbsCertList. */
export function readHead(fields: readonly DerNode[]) {
  const [version, algorithm, issuer, thisUpdate, nextUpdate] = fields;
  if (version === undefined || algorithm === undefined || issuer === undefined)
    throw new DerError('tbsCertList ends early');
  if (readInteger(readDer(version.bytes).expect(0x02, 'the version'), 'the version') !== 1n)
    throw new DerError('the version is not v2');
  // RFC 5280 section 5.1.2.5: conforming CRLs have a nextUpdate; without one nothing would ever be stale.
  return {
    algorithmDer: algorithm.bytes,
    issuer: readName(readDer(issuer.bytes), 'the issuer'),
    issuerDer: issuer.bytes,
    thisUpdate: readTime(thisUpdate, 'thisUpdate'),
    nextUpdate: readTime(nextUpdate, 'nextUpdate'),
  };
}

function readNumber(extension: Extension | undefined): number {
  if (extension === undefined) throw new DerError('the CRL number is missing');
  const node = readDer(extension.value).expect(0x02, 'the CRL number');
  const number = node.value.length > MAX_NUMBER_OCTETS ? -1n : readInteger(node, 'the CRL number');
  if (number < 0n) throw new DerError('the CRL number is out of range');
  return Number(number);
}

function readEntries(der: Uint8Array, list: DerNode | undefined): CrlInfo['entries'] {
  const entries = new Map<Serial, { revokedAt: Date; reason?: CrlReason }>();
  if (list === undefined) return entries;
  if (list.content === list.end) throw new DerError('revokedCertificates is empty');
  for (let at = list.content; at < list.end; ) {
    const header = readHeader(der, at, list.end);
    const entry = readDer(header.bytes).expect(0x30, 'an entry').counted(2, 3, 'an entry');
    const octets = entry.child(0, 0x02, 'a serial number').value;
    if (octets.length > MAX_SERIAL_OCTETS) throw new DerError(`a serial number of ${octets.length} octets`);
    const serial = serialOf(octets);
    if (entries.has(serial)) throw new DerError('a serial number stands twice');
    entries.set(serial, { revokedAt: readTime(entry.children[1], 'a revocation date'), reason: readReason(entry) });
    at = header.end;
  }
  return entries;
}

function readReason(entry: DerNode): CrlReason | undefined {
  const node = entry.children[2];
  if (node === undefined) return undefined;
  const extensions = readExtensions(node, 'the entry extensions');
  // A critical certificateIssuer makes the CRL an indirect one.
  refuseCritical(extensions, 'an entry');
  const extension = findExtension(extensions, EXTENSIONS.reasonCode);
  if (extension === undefined) return undefined;
  const code = readDer(extension.value).expect(0x0a, 'a reason code');
  const reason = reasonOf(Number(readInteger(code, 'a reason code')));
  if (reason === undefined) throw new DerError('a reason code has no meaning');
  return reason;
}

function refuseCritical(extensions: readonly Extension[], where: string): void {
  for (const { oid, critical } of extensions)
    if (critical) throw new KeysteadError('crl.unsupported', { field: where, seen: `the critical extension ${oid}` });
}

/** The elements in `parent` by their headers alone. @throws DerError for more than 7. */
export function shallowChildren(der: Uint8Array, parent: DerNode): DerNode[] {
  const children: DerNode[] = [];
  for (let at = parent.content; at < parent.end; at = children.at(-1)?.end ?? parent.end) {
    // A CertificateList has 3 elements and a TBSCertList at most 7.
    if (children.length === 7) throw new DerError(`too many elements at offset ${parent.start}`);
    children.push(readHeader(der, at, parent.end));
  }
  return children;
}
