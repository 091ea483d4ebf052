import { type CertificateInfo, readCertificate } from '@keystead/core/x509';
import type { Credential } from './manifest.ts';

type Dates = Pick<CertificateInfo, 'notBefore' | 'notAfter'>;

const known = new WeakMap<Credential, Dates>();

/** From when to when a credential is good: its certificate is read for that once, and not at each look at the time. */
export function datesOf(credential: Credential): Dates {
  const found = known.get(credential);
  if (found !== undefined) return found;
  const { notBefore, notAfter } = readCertificate(credential.certificate);
  const dates = { notBefore, notAfter };
  known.set(credential, dates);
  return dates;
}
