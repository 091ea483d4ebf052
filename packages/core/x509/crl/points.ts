import { toHex } from '../../bytes/index.ts';
import { DerError, type DerNode, readBits, readDer } from '../der/strict.ts';
import { sequence, tlv } from '../der/writer.ts';
import { type DistinguishedName, nameKey, readName } from '../names.ts';

/** Why certificates are revoked, as distribution points divide it (ReasonFlags, RFC 5280 section 4.2.1.13). */
const REASON_BITS = [
  'keyCompromise',
  'cACompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
  'aACompromise',
] as const;
export type RevocationScope = (typeof REASON_BITS)[number];
export type ReasonMask = ReadonlySet<RevocationScope>;
export const ALL_REASONS: ReasonMask = new Set(REASON_BITS);

/**
 * Where a CRL is found, in keys that are the same if and only if the names are (`nameKey` for a directory name, tag
 * and octets for others).
 */
export interface PointName {
  readonly fullNames: readonly string[];
  /** The RDN to add to the name of the CRL's issuer. */
  readonly relative?: DistinguishedName['rdns'];
}

/** One of CRLDistributionPoints. */
export interface DistributionPoint {
  readonly name?: PointName;
  readonly reasons?: ReasonMask;
  /** Directory names of who signs the CRL, when it is not who signed the certificate. */
  readonly crlIssuers?: readonly DistinguishedName[];
  /** The http and ldap URIs among the full names. */
  readonly urls: readonly string[];
}

/** IssuingDistributionPoint (RFC 5280 section 5.2.5): what a CRL is for. */
export interface IssuingPoint {
  readonly name?: PointName;
  readonly onlyUserCerts: boolean;
  readonly onlyCaCerts: boolean;
  readonly onlyAttributeCerts: boolean;
  readonly onlyReasons?: ReasonMask;
  readonly indirect: boolean;
  /** The DER of the whole: a delta CRL is for the same as its base when it has the same. */
  readonly der: Uint8Array;
}

/** The key of a directory name among point names. */
export const directoryKey = (name: DistinguishedName): string => `dn:${nameKey(name)}`;

/** Reads CRLDistributionPoints or FreshestCRL, which has the same syntax. @throws DerError */
export function readDistributionPoints(value: Uint8Array): DistributionPoint[] {
  const what = 'cRLDistributionPoints';
  return readDer(value)
    .expect(0x30, what)
    .counted(1, 64, what)
    .children.map((point) => {
      const fields = taggedFields(point, [0xa0, 0x81, 0xa2], 'a distribution point');
      const name = fields.get(0xa0);
      const reasons = fields.get(0x81);
      const issuers = fields.get(0xa2);
      // RFC 5280: a point must not consist of reasons alone.
      if (name === undefined && issuers === undefined)
        throw new DerError('a distribution point without name or issuer');
      return {
        ...(name === undefined ? {} : { name: readPointName(name) }),
        ...(reasons === undefined ? {} : { reasons: readReasons(reasons) }),
        ...(issuers === undefined ? {} : { crlIssuers: readDirectoryNames(issuers) }),
        urls: name === undefined ? [] : urlsOf(name),
      };
    });
}

/** A CRL that another signs than who issued the certificate. */
export interface IndirectCrl {
  readonly issuer: DistinguishedName;
  /** Where it stands; empty when the point names its issuer alone. */
  readonly urls: readonly string[];
}

/**
 * The points of CRLDistributionPoints that name another issuer, one for each name of one. Where none does, nothing is
 * read but the tags: nearly all certificates are so, and one that is odd elsewhere is still a certificate.
 * @throws DerError
 */
export function readIndirectCrls(value: Uint8Array): readonly IndirectCrl[] {
  if (!readDer(value).children.some(({ children }) => children.some(({ tag }) => tag === 0xa2))) return [];
  return readDistributionPoints(value).flatMap(({ crlIssuers = [], urls }) =>
    crlIssuers.map((issuer) => ({ issuer, urls })),
  );
}

/** @throws DerError also for one that says two of the `only…Certs` at once. */
export function readIssuingPoint(value: Uint8Array): IssuingPoint {
  const what = 'issuingDistributionPoint';
  const fields = taggedFields(readDer(value), [0xa0, 0x81, 0x82, 0x83, 0x84, 0x85], what);
  const flag = (tag: number): boolean => {
    const node = fields.get(tag);
    // DER leaves out a FALSE that is the default (X.690 section 11.5).
    if (node !== undefined && (node.value.length !== 1 || node.value[0] !== 0xff))
      throw new DerError(`a flag of ${what} is an encoded default`);
    return node !== undefined;
  };
  const name = fields.get(0xa0);
  const reasons = fields.get(0x83);
  const read: IssuingPoint = {
    ...(name === undefined ? {} : { name: readPointName(name) }),
    ...(reasons === undefined ? {} : { onlyReasons: readReasons(reasons) }),
    onlyUserCerts: flag(0x81),
    onlyCaCerts: flag(0x82),
    indirect: flag(0x84),
    onlyAttributeCerts: flag(0x85),
    der: value,
  };
  if ([read.onlyUserCerts, read.onlyCaCerts, read.onlyAttributeCerts].filter(Boolean).length > 1)
    throw new DerError(`${what} is for certificates of two kinds only`);
  return read;
}

/** The keys of a point's names; `issuer` is whose name a relative name is added to. */
export function pointKeys(name: PointName, issuer: DistinguishedName): readonly string[] {
  if (name.relative === undefined) return name.fullNames;
  return [directoryKey({ rdns: [...issuer.rdns, ...name.relative] })];
}

function taggedFields(node: DerNode, tags: readonly number[], what: string): Map<number, DerNode> {
  const fields = new Map<number, DerNode>();
  let last = -1;
  for (const child of node.expect(0x30, what).children) {
    const place = tags.indexOf(child.tag);
    if (place <= last) throw new DerError(`${what} has an element of no known kind`);
    last = place;
    fields.set(child.tag, child);
  }
  return fields;
}

function readPointName(node: DerNode): PointName {
  const [choice] = node.counted(1, 1, 'a distribution point name').children;
  if (choice?.tag === 0xa0) {
    if (choice.children.length === 0) throw new DerError('a distribution point name is empty');
    return { fullNames: choice.children.map(generalNameKey) };
  }
  if (choice?.tag !== 0xa1) throw new DerError('a distribution point name is of no known kind');
  return { fullNames: [], relative: readRelativeName(choice) };
}

/** A RelativeDistinguishedName with an IMPLICIT tag: written anew as the only one of a Name. */
const readRelativeName = (node: DerNode): DistinguishedName['rdns'] =>
  readName(readDer(sequence(tlv(0x31, node.value))), 'a relative name').rdns;

function generalNameKey(node: DerNode): string {
  if (node.tag === 0xa4) return directoryKey(readName(node.counted(1, 1, 'a name').child(0, 0x30, 'a name'), 'a name'));
  return `${node.tag.toString(16)}:${toHex(node.value)}`;
}

function readDirectoryNames(node: DerNode): DistinguishedName[] {
  return node
    .counted(1, 16, 'cRLIssuer')
    .children.filter(({ tag }) => tag === 0xa4)
    .map((name) => readName(name.counted(1, 1, 'cRLIssuer').child(0, 0x30, 'cRLIssuer'), 'cRLIssuer'));
}

function urlsOf(node: DerNode): string[] {
  const full = node.children[0];
  if (full?.tag !== 0xa0) return [];
  return full.children.filter(({ tag }) => tag === 0x86).map(({ value }) => Buffer.from(value).toString('latin1'));
}

/** ReasonFlags with an IMPLICIT tag; bit 0 is not used. */
function readReasons(node: DerNode): ReasonMask {
  const bits = readBits(readDer(tlv(0x03, node.value)), 2, 'reasons');
  const mask = new Set(REASON_BITS.filter((_, i) => bits[i + 1] === 1));
  if (mask.size === 0) throw new DerError('reasons name none');
  return mask;
}
