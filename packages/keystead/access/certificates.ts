import { X509Certificate } from 'node:crypto';
import { type DerCertificate, type Serial, sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { ONLINE_CAS, type OnlineCa } from '@keystead/core/lifecycle';
import type { Certificate, Reader } from '../store/index.ts';

/** id-kp-clientAuth (RFC 5280 section 4.2.1.12). */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

interface Issuer {
  readonly role: OnlineCa;
  readonly certificate: X509Certificate;
}

/**
 * Decides whether a certificate that was proven in a TLS handshake is one of ours, in force, and for a client.
 * The CAs are pinned: the certificate must be signed by one of the very keys that the ceremony certified, and be
 * the very certificate that the records hold under its serial. So a path of more than one step never arises here.
 */
export class ClientCertificates {
  readonly #issuers: readonly Issuer[];

  /** @param cas the certificates of the CAs whose certificates clients may show. */
  constructor(cas: Readonly<Partial<Record<OnlineCa, DerCertificate>>>) {
    this.#issuers = ONLINE_CAS.flatMap((role) => {
      const der = cas[role];
      return der === undefined ? [] : [{ role, certificate: new X509Certificate(der) }];
    });
  }

  /**
   * The record of the certificate. REQ-KEY-REV-03
   * @throws KeysteadError `client.certificate-missing`, `-malformed`, `-foreign`, `-expired`, `-unknown`,
   *   `-revoked`, `-unsuitable`.
   */
  check(der: Uint8Array | undefined, now: Date, records: Reader): Certificate & { readonly issuer: OnlineCa } {
    if (der === undefined) throw new KeysteadError('client.certificate-missing', { field: 'client certificate' });
    const shown = parse(der);
    const issuer = this.#issuerOf(shown);
    requireInForce(shown, now);
    requireInForce(issuer.certificate, now);
    const record = records.certificate(issuer.role, serialOf(shown));
    if (record === undefined) throw refusal('client.certificate-unknown', shown);
    if (!sameBytes(record.der, der)) throw refusal('client.certificate-foreign', shown);
    if (record.status !== 'good') {
      const why = record.reason === null ? '' : `, ${record.reason}`;
      throw refusal('client.certificate-revoked', shown, `${record.status} since ${isoTime(record.revokedAt)}${why}`);
    }
    if (!shown.keyUsage?.includes(CLIENT_AUTH)) throw refusal('client.certificate-unsuitable', shown);
    return { ...record, issuer: issuer.role };
  }

  #issuerOf(shown: X509Certificate): Issuer {
    const issuer = this.#issuers.find(
      ({ certificate }) => shown.checkIssued(certificate) && shown.verify(certificate.publicKey),
    );
    if (issuer === undefined) throw refusal('client.certificate-foreign', shown, `issued by ${oneLine(shown.issuer)}`);
    return issuer;
  }
}

function parse(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (cause) {
    throw new KeysteadError('client.certificate-malformed', { field: 'client certificate', cause });
  }
}

function requireInForce(certificate: X509Certificate, now: Date): void {
  const { validFromDate: from, validToDate: to } = certificate;
  if (now < from || now > to) {
    const seen = `valid from ${from.toISOString()} to ${to.toISOString()}, now ${now.toISOString()}`;
    throw refusal('client.certificate-expired', certificate, seen);
  }
}

const serialOf = (certificate: X509Certificate): Serial => certificate.serialNumber.toLowerCase() as Serial;

const isoTime = (ms: number | null): string => (ms === null ? 'an unknown time' : new Date(ms).toISOString());

const oneLine = (name: string): string => name.replaceAll('\n', ', ').slice(0, 160);

function refusal(
  code: `client.certificate-${'foreign' | 'expired' | 'revoked' | 'unknown' | 'unsuitable'}`,
  certificate: X509Certificate,
  seen?: string,
): KeysteadError {
  const which = `${oneLine(certificate.subject ?? '')} serial ${serialOf(certificate)}`;
  return new KeysteadError(code, {
    field: 'client certificate',
    seen: seen === undefined ? which : `${which}: ${seen}`,
  });
}
