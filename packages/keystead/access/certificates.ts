import { X509Certificate } from 'node:crypto';
import { type DerCertificate, type Serial, sameBytes } from '@keystead/core/bytes';
import { certSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type FactoryIssuerId, type IssuerId, isIssuerId, type ListedIssuer } from '@keystead/core/lifecycle';
import type { Certificate, Reader } from '../store/index.ts';

/** id-kp-clientAuth (RFC 5280 section 4.2.1.12). */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

interface Issuer {
  readonly id: ListedIssuer;
  readonly certificate: X509Certificate;
}

/** A certificate whose signature is one of ours: what its bytes say, which never changes. */
interface Shown {
  readonly certificate: X509Certificate;
  readonly issuer: Issuer;
  readonly serial: Serial;
  readonly forClients: boolean;
}

/** Sub-CAs of factories. More of them are commissioned while this runs. */
export type FactoryCas = readonly { readonly id: FactoryIssuerId; readonly certificate: DerCertificate }[];

/** Reading a certificate and verifying its signature is remembered for this many: clients send many requests. */
const REMEMBERED = 4096;

/**
 * Decides whether a certificate that was proven in a TLS handshake is one of ours, in force, and for a client.
 * The CAs are pinned: the certificate must be signed by one of the very keys that the ceremony certified, and be
 * the very certificate that the records hold under its serial. So a path of more than one step never arises here.
 */
export class ClientCertificates {
  readonly #issuers: readonly Issuer[];
  readonly #factories: () => FactoryCas;
  readonly #isRevoked: (issuer: IssuerId) => boolean;
  /** By SHA-256 of the certificate. Only what has verified is in here, never a status. */
  readonly #shown = new Map<string, Shown>();

  /**
   * @param cas the certificates of the keys of CAs whose certificates clients may show.
   * @param isRevoked whether one of these was revoked since.
   * @param factories the sub-CAs of factories whose certificates they may show as well.
   */
  constructor(
    cas: Readonly<Partial<Record<IssuerId, DerCertificate>>>,
    isRevoked: (issuer: IssuerId) => boolean = () => false,
    factories: () => FactoryCas = () => [],
  ) {
    this.#isRevoked = isRevoked;
    this.#factories = factories;
    this.#issuers = Object.entries(cas).flatMap(([id, der]) =>
      isIssuerId(id) && der !== undefined ? [{ id, certificate: new X509Certificate(der) }] : [],
    );
  }

  /**
   * The record of the certificate. REQ-KEY-REV-03
   * @throws KeysteadError `client.certificate-missing`, `-malformed`, `-foreign`, `-expired`, `-unknown`,
   *   `-revoked`, `-unsuitable`.
   */
  check(der: Uint8Array | undefined, now: Date, records: Reader): Certificate & { readonly issuer: ListedIssuer } {
    if (der === undefined) throw new KeysteadError('client.certificate-missing', { field: 'client certificate' });
    const { certificate: shown, issuer, serial, forClients } = this.#verified(der);
    requireInForce(shown, now);
    // The sub-CA of a factory lives for months; what it made and headquarters has taken in goes on being good.
    if (isIssuerId(issuer.id)) {
      requireInForce(issuer.certificate, now);
      if (this.#isRevoked(issuer.id)) throw refusal('client.certificate-revoked', shown, `its CA ${issuer.id}`);
    }
    const record = records.certificate(issuer.id, serial);
    if (record === undefined) throw refusal('client.certificate-unknown', shown);
    if (!sameBytes(record.der, der)) throw refusal('client.certificate-foreign', shown);
    if (record.status !== 'good') {
      const why = record.reason === null ? '' : `, ${record.reason}`;
      throw refusal('client.certificate-revoked', shown, `${record.status} since ${isoTime(record.revokedAt)}${why}`);
    }
    if (!forClients) throw refusal('client.certificate-unsuitable', shown);
    return { ...record, issuer: issuer.id };
  }

  /** The record of a certificate that is one of ours, in force or not; undefined where it is none. */
  recordOf(der: Uint8Array, records: Reader): Certificate | undefined {
    try {
      const { issuer, serial } = this.#verified(der);
      const record = records.certificate(issuer.id, serial);
      return record !== undefined && sameBytes(record.der, der) ? record : undefined;
    } catch (error) {
      if (error instanceof KeysteadError) return undefined;
      throw error;
    }
  }

  /** @throws KeysteadError `client.certificate-malformed`, `-foreign`. */
  #verified(der: Uint8Array): Shown {
    const id = certSha256(der);
    const known = this.#shown.get(id);
    if (known !== undefined) return known;
    const certificate = parse(der);
    const issuer = this.#issuerOf(certificate);
    const forClients = certificate.keyUsage?.includes(CLIENT_AUTH) === true;
    const shown: Shown = { certificate, issuer, serial: serialOf(certificate), forClients };
    if (this.#shown.size >= REMEMBERED) this.#shown.delete(this.#shown.keys().next().value ?? '');
    this.#shown.set(id, shown);
    return shown;
  }

  #issuerOf(shown: X509Certificate): Issuer {
    const signed = ({ certificate }: Issuer) => shown.checkIssued(certificate) && shown.verify(certificate.publicKey);
    const issuer =
      this.#issuers.find(signed) ??
      this.#factories()
        .map(({ id, certificate }): Issuer => ({ id, certificate: new X509Certificate(certificate) }))
        .find(signed);
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

/** A name of no parts, which a stranger may show, is undefined to node:crypto. */
const oneLine = (name: string | undefined): string => (name ?? '').replaceAll('\n', ', ').slice(0, 160);

function refusal(
  code: `client.certificate-${'foreign' | 'expired' | 'revoked' | 'unknown' | 'unsuitable'}`,
  certificate: X509Certificate,
  seen?: string,
): KeysteadError {
  const which = `${oneLine(certificate.subject)} serial ${serialOf(certificate)}`;
  return new KeysteadError(code, {
    field: 'client certificate',
    seen: seen === undefined ? which : `${which}: ${seen}`,
  });
}
