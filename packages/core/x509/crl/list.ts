import type { DerCrl, Serial } from '../../bytes/index.ts';
import { toHex } from '../../bytes/index.ts';
import {
  type PeerSignatureAlgorithm,
  type PeerSignatureVerdict,
  sha256,
  verifyPeerSignature,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readPeerAlgorithm } from '../algorithms.ts';
import type { CertificateInfo } from '../certificate.ts';
import { DerError, type DerNode, readDer, readHeader, readInteger, readOctetBits, readTime } from '../der/strict.ts';
import { type Extension, findExtension, readAuthorityKeyIdentifier, readExtensions } from '../extensions.ts';
import { type DistinguishedName, nameKey, readName } from '../names.ts';
import { EXTENSIONS } from '../oids.ts';
import { serialOf } from '../serial.ts';
import { type IssuingPoint, readIssuingPoint } from './points.ts';
import { MAX_CRL_BYTES, MAX_SERIAL_OCTETS, readHead, shallowChildren, signedParts } from './read.ts';
import { type CrlReason, reasonOf } from './reasons.ts';

/** RFC 5280 section 5.2.3. */
const MAX_NUMBER_OCTETS = 20;

/** One revocation as a CRL tells it. */
export interface ListedRevocation {
  readonly revokedAt: Date;
  readonly reason?: CrlReason;
}

/** A CRL of any kind as read: full, delta, partitioned, indirect (RFC 5280 section 5). */
export interface RevocationList {
  readonly der: DerCrl;
  /** SHA-256, hex. */
  readonly sha256: string;
  readonly issuer: DistinguishedName;
  /** `nameKey` of the issuer. */
  readonly issuerKey: string;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  readonly number: bigint;
  /** BaseCRLNumber: it is a delta CRL, of no use without a base. */
  readonly baseNumber?: bigint;
  /** The authority key identifier, hex. */
  readonly aki?: string;
  readonly point?: IssuingPoint;
  /** A critical extension that is not processed: the list says nothing of any certificate (section 5.2). */
  readonly strange?: string;
  readonly size: number;
  /** What it says of a certificate. `issuerKey` is `nameKey` of the certificate's issuer. */
  find(issuerKey: string, serial: Serial): ListedRevocation | undefined;
  /** Whether the key made its signature; name and key usage are for the caller to look at. Never throws. */
  verify(signer: CertificateInfo): PeerSignatureVerdict;
}

/** Critical CRL extensions that are processed. */
const PROCESSED = new Set<string>([
  EXTENSIONS.issuingDistributionPoint,
  EXTENSIONS.deltaCRLIndicator,
  EXTENSIONS.cRLNumber,
  EXTENSIONS.authorityKeyIdentifier,
  EXTENSIONS.issuerAltName,
]);
/** Critical entry extensions that are processed. */
const PROCESSED_OF_ENTRY = new Set<string>([
  EXTENSIONS.certificateIssuer,
  EXTENSIONS.reasonCode,
  EXTENSIONS.invalidityDate,
]);

/**
 * Reads a version 2 CRL of any kind, strictly and in time and memory linear in its length. For a full CRL alone there
 * is `readCrl`.
 * REQ-KEY-REV-03
 * @throws KeysteadError `crl.malformed`
 */
export function readRevocationList(der: Uint8Array): RevocationList {
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

function readSigned(der: Uint8Array): RevocationList {
  const [tbs, outer, signatureNode] = signedParts(der);
  const fields = shallowChildren(der, tbs);
  const head = readHead(fields);
  if (Buffer.compare(head.algorithmDer, outer.bytes) !== 0)
    throw new DerError('the two signature algorithms are not the same');
  const algorithm = readPeerAlgorithm(readDer(outer.bytes), 'signatureAlgorithm');
  const signature = readOctetBits(readDer(signatureNode.bytes), 'the signature');
  const rest = fields.slice(5);
  const list = rest[0]?.tag === 0x30 ? rest.shift() : undefined;
  const tagged = rest.shift();
  if (tagged === undefined || rest.length > 0) throw new DerError('a version 2 CRL ends with its extensions');
  const wrapper = readDer(tagged.expect(0xa0, 'the CRL extensions').bytes).counted(1, 1, 'the CRL extensions');
  const extensions = readExtensions(wrapper.child(0, 0x30, 'the CRL extensions'), 'the CRL extensions');
  const value = <T>(id: string, read: (value: Uint8Array) => T): T | undefined => {
    const extension = findExtension(extensions, id);
    return extension === undefined ? undefined : read(extension.value);
  };
  const number = value(EXTENSIONS.cRLNumber, readNumber);
  if (number === undefined) throw new DerError('the CRL number is missing');
  const point = value(EXTENSIONS.issuingDistributionPoint, readIssuingPoint);
  const issuerKey = nameKey(head.issuer);
  const entries = new Entries(issuerKey, point?.indirect === true);
  if (list !== undefined) entries.read(der, list);
  const strange = strangeIn(extensions, PROCESSED) ?? entries.strange;
  return {
    der: der as DerCrl,
    sha256: toHex(sha256(der)),
    issuer: head.issuer,
    issuerKey,
    thisUpdate: head.thisUpdate,
    nextUpdate: head.nextUpdate,
    number,
    baseNumber: value(EXTENSIONS.deltaCRLIndicator, readNumber),
    aki: value(EXTENSIONS.authorityKeyIdentifier, readAuthorityKeyIdentifier),
    point,
    strange,
    size: entries.size,
    find: (issuer, serial) => entries.find(issuer, serial),
    verify: verifierOf(algorithm, tbs.bytes, signature),
  };
}

/** Verifies once for each key: a long list is asked about many certificates. */
function verifierOf(algorithm: PeerSignatureAlgorithm, tbs: Uint8Array, signature: Uint8Array) {
  const known = new Map<string, PeerSignatureVerdict>();
  return (signer: CertificateInfo): PeerSignatureVerdict => {
    const seen = known.get(signer.spkiSha256) ?? verifyPeerSignature(algorithm, signer.spki, tbs, signature);
    known.set(signer.spkiSha256, seen);
    return seen;
  };
}

function readNumber(value: Uint8Array): bigint {
  const node = readDer(value).expect(0x02, 'a CRL number');
  const number = node.value.length > MAX_NUMBER_OCTETS ? -1n : readInteger(node, 'a CRL number');
  if (number < 0n) throw new DerError('a CRL number is out of range');
  return number;
}

const strangeIn = (extensions: readonly Extension[], known: ReadonlySet<string>): string | undefined =>
  extensions.find(({ oid, critical }) => critical && !known.has(oid))?.oid;

/** revokedCertificates, by the issuer of each certificate (RFC 5280 section 5.3.3). */
class Entries {
  readonly #indirect: boolean;
  readonly #byIssuer = new Map<string, Map<Serial, ListedRevocation>>();
  #issuer: string;
  strange: string | undefined;
  size = 0;

  constructor(issuer: string, indirect: boolean) {
    this.#issuer = issuer;
    this.#indirect = indirect;
  }

  find(issuer: string, serial: Serial): ListedRevocation | undefined {
    return this.#byIssuer.get(issuer)?.get(serial);
  }

  read(der: Uint8Array, list: DerNode): void {
    if (list.content === list.end) throw new DerError('revokedCertificates is empty');
    for (let at = list.content; at < list.end; ) {
      const header = readHeader(der, at, list.end);
      this.#take(readDer(header.bytes).expect(0x30, 'an entry').counted(2, 3, 'an entry'));
      at = header.end;
    }
  }

  #take(entry: DerNode): void {
    const octets = entry.child(0, 0x02, 'a serial number').value;
    if (octets.length > MAX_SERIAL_OCTETS) throw new DerError(`a serial number of ${octets.length} octets`);
    const serial = serialOf(octets);
    const node = entry.children[2];
    const extensions = node === undefined ? [] : readExtensions(node, 'the entry extensions');
    this.strange ??= strangeIn(extensions, PROCESSED_OF_ENTRY);
    const issuer = findExtension(extensions, EXTENSIONS.certificateIssuer);
    // Sticky: it holds for the entries after it as well, until another stands there.
    if (issuer !== undefined) this.#issuer = this.#issuerIn(issuer.value);
    const reason = findExtension(extensions, EXTENSIONS.reasonCode);
    const revocations = this.#byIssuer.get(this.#issuer) ?? new Map<Serial, ListedRevocation>();
    if (revocations.has(serial)) throw new DerError('a serial number stands twice');
    revocations.set(serial, {
      revokedAt: readTime(entry.children[1], 'a revocation date'),
      ...(reason === undefined ? {} : { reason: readReason(reason.value) }),
    });
    this.#byIssuer.set(this.#issuer, revocations);
    this.size += 1;
  }

  #issuerIn(value: Uint8Array): string {
    if (!this.#indirect) throw new DerError('an entry names another issuer in a CRL that is not indirect');
    const names = readDer(value).expect(0x30, 'certificateIssuer').counted(1, 16, 'certificateIssuer').children;
    const directory = names.find(({ tag }) => tag === 0xa4);
    if (directory === undefined) throw new DerError('certificateIssuer has no directory name');
    return nameKey(readName(directory.child(0, 0x30, 'certificateIssuer'), 'certificateIssuer'));
  }
}

function readReason(value: Uint8Array): CrlReason {
  const code = readDer(value).expect(0x0a, 'a reason code');
  const reason = reasonOf(Number(readInteger(code, 'a reason code')));
  if (reason === undefined) throw new DerError('a reason code has no meaning');
  return reason;
}
