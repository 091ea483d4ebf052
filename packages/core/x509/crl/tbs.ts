import { type DerCertificate, fromHex } from '../../bytes/index.ts';
import type { SignatureAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { signatureAlgorithmDer } from '../algorithms.ts';
import { readCertificate } from '../certificate.ts';
import { context, contextPrimitive, integer, octetString, oid, sequence, time } from '../der/writer.ts';
import { EXTENSIONS } from '../oids.ts';
import { RevokedEntries, type RevokedEntry } from './entries.ts';

/** What stands in one full CRL. */
export interface CrlContents {
  /** The certificate of the CA: gives the issuer's name and the authority key identifier. */
  readonly issuer: DerCertificate;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
  /** Goes up with every CRL of one issuer (RFC 5280 section 5.2.3); from 0 to 2^53 - 1. */
  readonly number: number;
  /** Read once, in order; it may be a generator, so that the entries never stand in memory as objects. */
  readonly entries: Iterable<RevokedEntry>;
}

/**
 * The TBSCertList, DER, of a full version 2 CRL with authority key identifier and CRL number (RFC 5280 section 5.1):
 * what the CA signs; `assembleSigned` then makes the CRL of it. Takes about 0.1 µs and 50 bytes an entry.
 * REQ-KEY-REV-01
 * @throws KeysteadError `crl.issuer-unfit` when the issuer has no subject key identifier.
 * @throws RangeError for a serial that is not from 1 to 20 octets of hex, or a number that is not a safe integer.
 */
export function tbsCertList(crl: CrlContents): Uint8Array {
  const issuer = readCertificate(crl.issuer);
  if (issuer.ski === undefined)
    throw new KeysteadError('crl.issuer-unfit', { field: 'issuer', seen: 'no subjectKeyIdentifier' });
  const entries = new RevokedEntries();
  for (const entry of crl.entries) entries.add(entry);
  const extensions = sequence(
    extension(EXTENSIONS.authorityKeyIdentifier, sequence(contextPrimitive(0, fromHex(issuer.ski)))),
    extension(EXTENSIONS.cRLNumber, integer(crl.number)),
  );
  return sequence(
    integer(1),
    signatureAlgorithmDer(crl.signatureAlgorithm),
    issuer.subjectDer,
    time(crl.thisUpdate),
    time(crl.nextUpdate),
    // RFC 5280 section 5.1.2.6: absent, not empty, when nothing is revoked.
    ...(entries.length === 0 ? [] : [entries.header(), ...entries.pieces()]),
    context(0, extensions),
  );
}

const extension = (id: string, value: Uint8Array): Uint8Array => sequence(oid(id), octetString(value));
