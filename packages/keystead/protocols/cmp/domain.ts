import type { DerCertificate, DerCrl, Serial } from '@keystead/core/bytes';
import type { WantedCrl } from '@keystead/core/cmp';
import type { SecretBytes, Signer } from '@keystead/core/crypto';
import type { KeysteadError } from '@keystead/core/errors';
import type { RequestFormat } from '@keystead/core/x509';

/** The registration authority in whose name answers are signed. */
export interface CmpAuthority {
  readonly certificate: DerCertificate;
  /** The CA certificates above it, without the root. */
  readonly chain: readonly DerCertificate[];
  readonly signer: Signer;
}

/** By what a message was protected, once that is verified. */
export type CmpRequester =
  | { readonly kind: 'certificate'; readonly certificate: DerCertificate }
  /** The id of an enrolment authorisation, whose secret made the MAC. */
  | { readonly kind: 'authorisation'; readonly id: string };

/** A message as its transaction names it. */
export interface CmpReference {
  readonly requester: CmpRequester;
  readonly transactionId: Uint8Array;
  readonly recipNonce: Uint8Array | undefined;
  /** The nonce of the answer that is about to be given. */
  readonly nonce: Uint8Array;
  readonly requestId: string;
  /** The whole message, DER. */
  readonly message: Uint8Array;
}

export interface CmpOrder extends CmpReference {
  readonly kind: 'ir' | 'cr' | 'kur' | 'p10cr';
  readonly certReqId: number;
  readonly format: RequestFormat;
  readonly request: Uint8Array;
  /** The profile that was asked for, by the address or in the header. */
  readonly profile: string | undefined;
  readonly confirms: boolean;
}

/** What came of a request for a certificate. */
export type CmpOutcome = { readonly kind: string; readonly certReqId: number } & (
  | {
      readonly certificate: DerCertificate;
      /** The CA certificates above it, without the root. */
      readonly chain: readonly DerCertificate[];
      /** Until when it is to be confirmed; undefined where it needs no confirmation. */
      readonly confirmUntil: Date | undefined;
    }
  | { readonly retryAfterSeconds: number }
);

/** What CMP needs of the domain. Whatever resolves is durable, whatever is refused is audited before it is thrown. */
export interface CmpDomain {
  now(): Date;
  /** Whose answers these are. @throws KeysteadError `cmp.off`, and of keyd where it cannot be had now. */
  authority(): Promise<CmpAuthority>;
  /** Every name, DER, under which this authority may be addressed. */
  readonly names: readonly Uint8Array[];
  /**
   * The octets that an authorisation's secret has as a password, whatever state it is in; for an id that is not there,
   * octets that nobody knows. The caller disposes. @throws KeysteadError `authorisation.secret-unreadable`.
   */
  secretOf(authorisationId: string, requestId: string): Promise<SecretBytes>;
  /** Whether an authorisation, whose secret was shown, may be used now. @throws KeysteadError `authorisation.*`. */
  admitAuthorisation(id: string, requestId: string): Promise<void>;
  /** Whether this certificate is one of ours and in force. @throws KeysteadError `client.certificate-*`. */
  admit(certificate: DerCertificate, requestId: string): Promise<void>;
  enrol(order: CmpOrder): Promise<CmpOutcome>;
  poll(reference: CmpReference, confirms: boolean): Promise<CmpOutcome>;
  confirm(
    reference: CmpReference,
    verdict: { readonly accepted: boolean; matches(certificate: DerCertificate): boolean },
  ): Promise<void>;
  /** Revokes a certificate for good. @throws KeysteadError `cmp.revocation-refused`, `cmp.not-by-mac`, `certificate.unknown`. */
  revoke(
    requester: CmpRequester,
    wanted: { readonly issuerDer: Uint8Array; readonly serial: Serial; readonly reason: string },
    requestId: string,
  ): Promise<void>;
  /** The root and the CA certificates below it, root first. */
  caCertificates(): readonly DerCertificate[];
  /** The root that follows the one that a client has. */
  rootUpdate(
    root: DerCertificate,
  ): { newWithNew: DerCertificate; newWithOld?: DerCertificate; oldWithNew?: DerCertificate } | undefined;
  /** The CRLs of the issuers that are named, each once, where there is a newer one. */
  crls(wanted: readonly WantedCrl[]): DerCrl[];
  /** The organization that the subjects of certificates have. */
  organization(): string | undefined;
  /** Audits what was refused before anything was asked of the domain. */
  refused(error: KeysteadError, requestId: string): Promise<void>;
}
