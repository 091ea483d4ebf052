import { X509Certificate } from 'node:crypto';
import { type DerCertificate, fromHex, sameBytes } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { publicKeyOf } from './goodkey/public-key.ts';
import { type CertificateValues, NO_END } from './values.ts';

/**
 * Reads a certificate that was just signed with OpenSSL, which has no line of code in common with the encoder, and
 * compares serial number, key and validity with what was meant, before anyone sees it. About 40 µs.
 * @throws KeysteadError `certificate.lint-failed` with the field that differs
 */
export function rereadIssued(der: Uint8Array, values: CertificateValues): DerCertificate {
  const differs = differenceOf(der, values);
  if (differs !== undefined)
    throw new KeysteadError('certificate.lint-failed', { field: differs, seen: 'OpenSSL reads another value' });
  return der as DerCertificate;
}

function differenceOf(der: Uint8Array, values: CertificateValues): string | undefined {
  let read: X509Certificate;
  try {
    read = new X509Certificate(der);
  } catch {
    return 'der';
  }
  if (!sameBytes(read.raw, der)) return 'der';
  if (!sameBytes(fromHex(read.serialNumber), fromHex(values.serial))) return 'serialNumber';
  const key = publicKeyOf(values.spki);
  if (key === undefined || !read.publicKey.equals(key)) return 'subjectPublicKeyInfo';
  const notAfter = values.notAfter === 'none' ? NO_END : values.notAfter;
  if (seconds(read.validFromDate) !== seconds(values.notBefore)) return 'notBefore';
  if (seconds(read.validToDate) !== seconds(notAfter)) return 'notAfter';
  const commonName = values.subject.rdns.find(({ type }) => type === 'CN')?.value;
  if (commonName !== undefined && !read.subject.split('\n').includes(`CN=${commonName}`)) return 'subject';
  return undefined;
}

const seconds = (time: Date): number => Math.floor(time.getTime() / 1000);
