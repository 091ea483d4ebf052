import { toHex } from '../bytes/index.ts';
import { DerError, type DerNode, readBits, readDer, readInteger, readOid } from './der/strict.ts';
import { readGeneralNames } from './general-names.ts';
import { ACCESS_METHODS, EXTENDED_KEY_USAGES, KEY_USAGES, nameOf } from './oids.ts';

/** One extension as it stands in a certificate, request, CRL or OCSP message (RFC 5280 section 4.1). */
export interface Extension {
  /** Dotted OID. */
  readonly oid: string;
  readonly critical: boolean;
  /** The DER inside the OCTET STRING. */
  readonly value: Uint8Array;
}

/** Reads Extensions. @throws DerError; RFC 5280 section 4.2 forbids two of one kind. */
export function readExtensions(node: DerNode, what: string): Extension[] {
  const seen = new Set<string>();
  return node
    .expect(0x30, what)
    .counted(1, 64, what)
    .children.map((item) => {
      item.expect(0x30, 'an extension').counted(2, 3, 'an extension');
      const id = readOid(item.children[0], 'an extension identifier');
      const critical = item.children.length === 3;
      // DER leaves out a FALSE that is the default (X.690 section 11.5).
      if (critical && item.child(1, 0x01, 'the critical flag').value[0] !== 0xff)
        throw new DerError(`the critical flag of ${id} is an encoded default`);
      const value = item.child(critical ? 2 : 1, 0x04, `the value of ${id}`).value;
      if (seen.has(id)) throw new DerError(`the extension ${id} stands twice`);
      seen.add(id);
      return { oid: id, critical, value };
    });
}

/** The extension with `oid`, or undefined. */
export const findExtension = (extensions: readonly Extension[], oid: string): Extension | undefined =>
  extensions.find((extension) => extension.oid === oid);

/** BasicConstraints (RFC 5280 section 4.2.1.9). @throws DerError */
export function readBasicConstraints(value: Uint8Array): { ca: boolean; pathLength?: number } {
  const node = readDer(value).expect(0x30, 'basicConstraints').counted(0, 2, 'basicConstraints');
  const [first] = node.children;
  if (first === undefined) return { ca: false };
  if (first.expect(0x01, 'cA').value[0] !== 0xff) throw new DerError('cA is an encoded default');
  if (node.children.length === 1) return { ca: true };
  const length = readInteger(node.child(1, 0x02, 'pathLenConstraint'), 'pathLenConstraint');
  if (length < 0n || length > 127n) throw new DerError('pathLenConstraint is not from 0 to 127');
  return { ca: true, pathLength: Number(length) };
}

/** KeyUsage, as names in the order of the bits (RFC 5280 section 4.2.1.3). @throws DerError */
export function readKeyUsage(value: Uint8Array): string[] {
  const bits = readBits(readDer(value), 2, 'keyUsage');
  if (bits.length === 0) throw new DerError('keyUsage sets no bit');
  // A named bit list ends with a bit that is set (X.690 section 11.2.2).
  if (bits.at(-1) === 0) throw new DerError('keyUsage ends in a zero bit');
  if (bits.length > KEY_USAGES.length) throw new DerError('keyUsage sets a bit that has no meaning');
  return KEY_USAGES.filter((_, bit) => bits[bit] === 1);
}

/** ExtKeyUsage, by name where it has one, else as OIDs (RFC 5280 section 4.2.1.12). @throws DerError */
export function readExtKeyUsage(value: Uint8Array): string[] {
  return readDer(value)
    .expect(0x30, 'extKeyUsage')
    .counted(1, 64, 'extKeyUsage')
    .children.map((purpose) => nameOf(EXTENDED_KEY_USAGES, readOid(purpose, 'a purpose of extKeyUsage')));
}

/** SubjectAltName or IssuerAltName (RFC 5280 section 4.2.1.6). @throws DerError */
export const readAltName = (value: Uint8Array): string[] => readGeneralNames(readDer(value), 'subjectAltName');

/** SubjectKeyIdentifier, hex (RFC 5280 section 4.2.1.2). @throws DerError */
export function readSubjectKeyIdentifier(value: Uint8Array): string {
  const node = readDer(value).expect(0x04, 'subjectKeyIdentifier');
  if (node.value.length === 0) throw new DerError('subjectKeyIdentifier is empty');
  return toHex(node.value);
}

/** The keyIdentifier of AuthorityKeyIdentifier, hex, when it has one (RFC 5280 section 4.2.1.1). @throws DerError */
export function readAuthorityKeyIdentifier(value: Uint8Array): string | undefined {
  const node = readDer(value).expect(0x30, 'authorityKeyIdentifier').counted(0, 3, 'authorityKeyIdentifier');
  const tags = node.children.map((child) => child.tag);
  if (
    tags.some((tag, i) => ![0x80, 0xa1, 0x82].includes(tag) || (i > 0 && (tag & 0x1f) <= ((tags[i - 1] ?? 0) & 0x1f)))
  )
    throw new DerError('authorityKeyIdentifier has an element of no known kind');
  if (tags.includes(0xa1) !== tags.includes(0x82))
    throw new DerError('authorityKeyIdentifier has an issuer without a serial number, or the reverse');
  const identifier = node.children.find((child) => child.tag === 0x80);
  return identifier === undefined ? undefined : toHex(identifier.value);
}

/**
 * The URIs of CRLDistributionPoints (RFC 5280 section 4.2.1.13), of points for all reasons from the issuer itself.
 * @throws DerError
 */
export function readCrlUrls(value: Uint8Array): string[] {
  const urls: string[] = [];
  for (const point of readDer(value).expect(0x30, 'cRLDistributionPoints').counted(1, 64, 'cRLDistributionPoints')
    .children) {
    point.expect(0x30, 'a distribution point').counted(1, 3, 'a distribution point');
    if (point.children.some((child) => ![0xa0, 0x81, 0xa2].includes(child.tag)))
      throw new DerError('a distribution point has an element of no known kind');
    const [name] = point.children;
    if (name?.tag !== 0xa0 || point.children.length !== 1) continue;
    const full = name.counted(1, 1, 'a distribution point name').children[0];
    if (full?.tag !== 0xa0) continue;
    for (const entry of full.children) if (entry.tag === 0x86) urls.push(Buffer.from(entry.value).toString('latin1'));
  }
  return urls;
}

/** The features of TLSFeature (RFC 7633 section 4.1). @throws DerError */
export const readTlsFeatures = (value: Uint8Array): number[] =>
  readDer(value)
    .expect(0x30, 'tlsFeature')
    .counted(1, 16, 'tlsFeature')
    .children.map((feature) => Number(readInteger(feature, 'a feature of tlsFeature')));

/** The URIs of AuthorityInfoAccess by access method (RFC 5280 section 4.2.2.1). @throws DerError */
export function readAuthorityInfoAccess(value: Uint8Array): { ocsp: string[]; caIssuers: string[] } {
  const found = { ocsp: [] as string[], caIssuers: [] as string[] };
  for (const access of readDer(value).expect(0x30, 'authorityInfoAccess').counted(1, 64, 'authorityInfoAccess')
    .children) {
    const [method, location] = access
      .expect(0x30, 'an access description')
      .counted(2, 2, 'an access description').children;
    const id = readOid(method, 'an access method');
    if (location?.tag !== 0x86) continue;
    const url = Buffer.from(location.value).toString('latin1');
    if (id === ACCESS_METHODS.ocsp) found.ocsp.push(url);
    if (id === ACCESS_METHODS.caIssuers) found.caIssuers.push(url);
  }
  return found;
}
