import type { DerCertificate, Serial } from '@keystead/core/bytes';
import type { IssuerName } from '@keystead/core/lifecycle';
import {
  type CertStatus,
  type OcspErrorStatus,
  OcspIssuer,
  ocspError,
  type ParsedOcspRequest,
  type RevocationReason,
} from '@keystead/core/x509';

/** The part of keyd that a responder needs: keyd sets the times and signs with its delegated responder key. */
export interface OcspSigner {
  /** @throws KeysteadError `keyd.unreachable` and others of kind `unavailable`. */
  signOcsp(params: {
    issuer: IssuerName;
    responses: {
      certId: Uint8Array;
      status: 'good' | 'revoked' | 'unknown';
      revokedAt?: Date;
      reason?: RevocationReason;
    }[];
    nonce?: Uint8Array;
  }): Promise<{ response: Uint8Array; thisUpdate: Date; nextUpdate: Date }>;
}

export interface OcspResponderOptions {
  /** The certificates of the CAs that are answered for. */
  readonly cas: ReadonlyMap<IssuerName, DerCertificate>;
  /**
   * The status of a serial of one CA, as of the last commit; `unknown` for one that was never issued. What it says
   * is signed: it must never say `good` without having seen the certificate.
   */
  readonly statusOf: (issuer: IssuerName, serial: Serial) => CertStatus | Promise<CertStatus>;
  readonly signer: OcspSigner;
}

/** An OCSPResponse, DER, and how long it may be handed out again: not at all when there are no times. */
export interface OcspReply {
  readonly der: Uint8Array;
  readonly validity?: { readonly thisUpdate: Date; readonly nextUpdate: Date };
}

/** An answer without a status, in a form that is never kept. */
export const errorReply = (status: OcspErrorStatus): OcspReply => ({ der: ocspError(status) });

/**
 * Answers requests for the CAs of this Keystead. It says something only of certificates whose CertID holds the name
 * and key of the CA that was addressed: of others it says `unknown`, and `unauthorized` when there are no others
 * (RFC 6960 section 2.3, RFC 5019 section 2.2.3). REQ-KEY-REV-02
 */
export class OcspResponder {
  readonly roles: readonly IssuerName[];
  readonly #issuers: ReadonlyMap<IssuerName, OcspIssuer>;
  readonly #statusOf: OcspResponderOptions['statusOf'];
  readonly #signer: OcspSigner;

  /** @throws KeysteadError `cert.not-der` */
  constructor(options: OcspResponderOptions) {
    this.#issuers = new Map([...options.cas].map(([role, certificate]) => [role, new OcspIssuer(certificate)]));
    this.roles = [...this.#issuers.keys()];
    this.#statusOf = options.statusOf;
    this.#signer = options.signer;
  }

  /** @throws what `statusOf` and the signer throw. */
  async answer(request: ParsedOcspRequest, role: IssuerName): Promise<OcspReply> {
    const issuer = this.#issuers.get(role);
    if (issuer === undefined || !request.certIds.some((certId) => issuer.issued(certId)))
      return errorReply('unauthorized');
    let lasting = request.nonce === undefined;
    const responses = [];
    for (const certId of request.certIds) {
      const status: CertStatus = issuer.issued(certId)
        ? await this.#statusOf(role, certId.serial)
        : { status: 'unknown' };
      // Not kept, so that asking for made-up serials does not drive the answers of real ones out of the memory.
      if (status.status === 'unknown') lasting = false;
      responses.push({ certId: certId.der, ...status });
    }
    const signed = await this.#signer.signOcsp({ issuer: role, responses, nonce: request.nonce });
    const { thisUpdate, nextUpdate } = signed;
    return lasting ? { der: signed.response, validity: { thisUpdate, nextUpdate } } : { der: signed.response };
  }
}
