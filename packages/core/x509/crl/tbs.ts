import { type DerCertificate, fromHex } from '../../bytes/index.ts';
import type { Pieces, SignatureAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { signatureAlgorithmDer } from '../algorithms.ts';
import { readCertificate } from '../certificate.ts';
import {
  bitString,
  booleanTrue,
  context,
  contextPrimitive,
  integer,
  octetString,
  oid,
  sequence,
  time,
} from '../der/writer.ts';
import { generalNameDer } from '../general-names.ts';
import { ACCESS_METHODS, EXTENSIONS } from '../oids.ts';
import { type EntryOctets, entriesLength, entryOctets, entryPieces, type RevokedEntry } from './entries.ts';

/** What stands in one CRL besides its entries. */
export interface CrlHead {
  /** The certificate of who signs: gives the issuer's name and the authority key identifier. */
  readonly issuer: DerCertificate;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** Goes up with every CRL of one issuer (RFC 5280 section 5.2.3); from 0 to 2^53 - 1. */
  readonly number: number;
  /** The number of the full CRL that this delta CRL goes with (RFC 5280 section 5.2.4). */
  readonly base?: number;
  /** The distribution point whose certificates this CRL is for, and for no others (RFC 5280 section 5.2.5): its URL. */
  readonly point?: string;
  /** The CRL lists certificates of other issuers as well (RFC 5280 section 5.2.5, indirectCRL). */
  readonly indirect?: boolean;
  /** Where the certificate of who signs stands, for who has the list and not the signer (RFC 5280 section 5.2.7). */
  readonly caIssuers?: string;
  /** Where the delta CRL for this full CRL stands (RFC 5280 section 5.2.6). */
  readonly freshest?: string;
}

/** What stands in one CRL. */
export interface CrlContents extends CrlHead {
  /** Gone through more than once: not a generator. */
  readonly entries: Iterable<RevokedEntry>;
}

/**
 * A TBSCertList (RFC 5280 section 5.1) that is made as it is read, so that a million entries never stand in memory as
 * DER. The entries are gone through once for the length, and again each time the bytes are asked for; they must be the
 * same each time. Takes about 0.1 µs an entry and pass. REQ-KEY-REV-01
 */
export class TbsCertList {
  readonly signatureAlgorithm: SignatureAlgorithm;
  /** Octets of the whole element. */
  readonly length: number;
  readonly #entries: Iterable<EntryOctets>;
  readonly #before: Uint8Array;
  readonly #after: Uint8Array;

  /**
   * @throws KeysteadError `crl.issuer-unfit` when the issuer has no subject key identifier.
   * @throws RangeError for a number that is not a safe integer, and for an entry that cannot be written.
   */
  constructor(head: CrlHead, entries: Iterable<EntryOctets>) {
    const issuer = readCertificate(head.issuer);
    if (issuer.ski === undefined)
      throw new KeysteadError('crl.issuer-unfit', { field: 'issuer', seen: 'no subjectKeyIdentifier' });
    this.signatureAlgorithm = head.signatureAlgorithm;
    this.#entries = entries;
    const listed = entriesLength(entries);
    const fields = Buffer.concat([
      integer(1),
      signatureAlgorithmDer(head.signatureAlgorithm),
      issuer.subjectDer,
      time(head.thisUpdate),
      time(head.nextUpdate),
      // RFC 5280 section 5.1.2.6: absent, not empty, when nothing is revoked.
      ...(listed === 0 ? [] : [sequenceHeader(listed)]),
    ]);
    this.#after = context(0, sequence(...extensionsOf(head, issuer.ski)));
    const content = fields.length + listed + this.#after.length;
    this.#before = Buffer.concat([sequenceHeader(content), fields]);
    this.length = this.#before.length + listed + this.#after.length;
  }

  /** The bytes, in order. Each piece is good until the next is asked for. @throws RangeError when the entries changed. */
  *pieces(): Generator<Uint8Array> {
    yield this.#before;
    let length = this.#before.length + this.#after.length;
    for (const piece of entryPieces(this.#entries)) {
      length += piece.length;
      yield piece;
    }
    if (length !== this.length) throw new RangeError('the entries of a CRL changed while it was made');
    yield this.#after;
  }

  /**
   * The whole CertificateList, in pieces, around a signature of these bytes.
   * @param through what the signed bytes pass through on the way; it gives them on as they are.
   */
  async *signed(
    signature: Uint8Array,
    through: (pieces: Iterable<Uint8Array>) => Pieces = same,
  ): AsyncGenerator<Uint8Array> {
    const after = Buffer.concat([signatureAlgorithmDer(this.signatureAlgorithm), bitString(signature)]);
    yield sequenceHeader(this.length + after.length);
    yield* through(this.pieces());
    yield after;
  }
}

const same = (pieces: Iterable<Uint8Array>): Pieces => pieces;

/**
 * The TBSCertList, DER, of a version 2 CRL with authority key identifier and CRL number: what the CA signs;
 * `assembleSigned` then makes the CRL of it. For lists that are short enough to stand in memory. REQ-KEY-REV-01
 * @throws KeysteadError and RangeError as {@link TbsCertList}.
 */
export function tbsCertList({ entries, ...head }: CrlContents): Uint8Array {
  const tbs = new TbsCertList(head, entryOctets(entries));
  const out = new Uint8Array(tbs.length);
  let at = 0;
  for (const piece of tbs.pieces()) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

function* extensionsOf(head: CrlHead, ski: string): Generator<Uint8Array> {
  const { number, base, point, indirect, freshest, caIssuers } = head;
  yield extension(EXTENSIONS.authorityKeyIdentifier, sequence(contextPrimitive(0, fromHex(ski))));
  yield extension(EXTENSIONS.cRLNumber, integer(number));
  // Critical, both: who does not know them must not take the list for a full one.
  if (base !== undefined) yield extension(EXTENSIONS.deltaCRLIndicator, integer(base), true);
  if (point !== undefined || indirect === true) {
    const name = point === undefined ? [] : [context(0, uriName(point))];
    // indirectCRL [4] is IMPLICIT; the FALSE of the others is the default and left out.
    const flag = indirect === true ? [contextPrimitive(4, Uint8Array.of(0xff))] : [];
    yield extension(EXTENSIONS.issuingDistributionPoint, sequence(...name, ...flag), true);
  }
  if (freshest !== undefined && base === undefined)
    yield extension(EXTENSIONS.freshestCRL, sequence(sequence(context(0, uriName(freshest)))));
  if (caIssuers !== undefined) {
    const access = sequence(oid(ACCESS_METHODS.caIssuers), generalNameDer(`URI:${caIssuers}`));
    yield extension(EXTENSIONS.authorityInfoAccess, sequence(access));
  }
}

/** The fullName [0] of a DistributionPointName. */
const uriName = (url: string): Uint8Array => context(0, generalNameDer(`URI:${url}`));

function extension(id: string, value: Uint8Array, critical = false): Uint8Array {
  return critical ? sequence(oid(id), booleanTrue(), octetString(value)) : sequence(oid(id), octetString(value));
}

/** The header of a SEQUENCE whose content is written by itself (X.690 section 10.1). */
function sequenceHeader(length: number): Uint8Array {
  const octets = length < 0x80 ? 0 : Math.ceil((32 - Math.clz32(length)) / 8);
  const header = new Uint8Array(2 + octets);
  header[0] = 0x30;
  header[1] = octets === 0 ? length : 0x80 | octets;
  for (let i = 0; i < octets; i += 1) header[1 + octets - i] = (length >>> (8 * i)) & 0xff;
  return header;
}
