import type { DerSpki, Serial } from '../bytes/index.ts';
import type { SignatureAlgorithm } from '../crypto/index.ts';
import type { CertificateInfo } from './certificate.ts';
import type { DistinguishedName } from './names.ts';
import type { Profile } from './profile.ts';

/** Where a relying party learns of a certificate's status: http URLs that stand in it. */
export interface StatusUrls {
  readonly crl?: string;
  /**
   * Who signs the CRL at `crl`, where it is not who issues the certificate: the subject of the signer's certificate.
   * That CRL is an indirect one (RFC 5280 sections 4.2.1.13 and 5.2.5). Without `crl` the certificate names the signer
   * alone, and whoever relies on it must know where the list is.
   */
  readonly crlIssuer?: DistinguishedName;
  /** Of the delta CRL (RFC 5280 section 4.2.1.15). */
  readonly freshest?: string;
  readonly ocsp?: string;
  readonly caIssuers?: string;
}

/** What differs between the certificates of one profile and issuer. */
export interface CertificateValues {
  readonly serial: Serial;
  /** Cut to the second. */
  readonly notBefore: Date;
  /** Cut to the second; `none` is 99991231235959Z (RFC 5280 section 4.1.2.5). */
  readonly notAfter: Date | 'none';
  readonly subject: DistinguishedName;
  /** `URI:…`, `DNS:…`, `IP:…` */
  readonly san: readonly string[];
  readonly spki: DerSpki;
  readonly signatureAlgorithm: SignatureAlgorithm;
}

/** By what a certificate is issued. */
export interface Issuance {
  readonly profile: Profile;
  /** Undefined for a self-signed certificate. */
  readonly issuer: CertificateInfo | undefined;
  /** Made in a rehearsal: carries the critical extension that nobody processes. */
  readonly rehearsal?: boolean;
  /**
   * One root key certifies another of the same name (RFC 5280 section 3.2: self-issued, but not self-signed), when a
   * root is rolled over (RFC 9810 section 4.4). Such a certificate is not counted in path lengths.
   */
  readonly selfIssued?: boolean;
}

/** The parts of an {@link Issuance} that few certificates have. */
export type IssuanceOptions = Pick<Issuance, 'rehearsal' | 'selfIssued'>;

/** 99991231235959Z, the date that stands for no well-defined end (RFC 5280 section 4.1.2.5). */
export const NO_END = new Date(Date.UTC(9999, 11, 31, 23, 59, 59));
