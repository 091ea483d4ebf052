import type { DerCertificate } from '../../bytes/index.ts';
import { certSha256, type PeerSignatureVerdict } from '../../crypto/index.ts';
import { type CertificateInfo, readCertificate } from '../certificate.ts';

/** CA certificates that are remembered. A fleet has a dozen; strangers can only push those out, and are read again. */
const MOST = 64;
/** Above this a certificate is read each time: strangers must not fill the memory. */
const LARGEST_BYTES = 8 * 1024;

const read = new Map<string, CertificateInfo>();
const signed = new Set<string>();

/**
 * As `readCertificate`, and what it says of a CA certificate is remembered by its SHA-256: whoever judges many peers meets
 * the same few CAs again with each of them. Its byte fields are views of a copy.
 * @throws KeysteadError `cert.not-der`.
 */
export function readCaCertificate(der: DerCertificate): CertificateInfo {
  if (der.length > LARGEST_BYTES) return readCertificate(der);
  const id = certSha256(der);
  const known = read.get(id);
  if (known !== undefined) return known;
  const found = readCertificate(Uint8Array.from(der));
  if (found.ca) {
    if (read.size >= MOST) dropOldest(read);
    read.set(id, found);
  }
  return found;
}

/**
 * What `verify` says of the signature of `certificate` by the key of `issuer`. That one of a CA certificate is valid is
 * remembered: the same bytes and the same key give the same answer for ever, and on P-384 it takes as long as twenty
 * verifications on P-256. Nothing else of a certificate is: its dates, names and status are judged each time.
 */
export function signedByCa(
  certificate: CertificateInfo,
  issuer: CertificateInfo,
  verify: (certificate: CertificateInfo, issuer: CertificateInfo) => PeerSignatureVerdict,
): PeerSignatureVerdict {
  if (!certificate.ca) return verify(certificate, issuer);
  const pair = `${certificate.sha256} ${issuer.spkiSha256}`;
  if (signed.has(pair)) return { verdict: 'valid' };
  const verdict = verify(certificate, issuer);
  if (verdict.verdict === 'valid') {
    if (signed.size >= MOST) dropOldest(signed);
    signed.add(pair);
  }
  return verdict;
}

/** Both keep the order in which they were filled. */
function dropOldest(kept: { keys(): Iterator<string>; delete(key: string): boolean }): void {
  const { value } = kept.keys().next();
  if (typeof value === 'string') kept.delete(value);
}
