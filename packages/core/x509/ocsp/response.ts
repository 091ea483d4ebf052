import type { DerCertificate } from '../../bytes/index.ts';
import type { SignatureAlgorithm } from '../../crypto/index.ts';
import { signatureAlgorithmDer } from '../algorithms.ts';
import { REVOCATION_REASONS, type RevocationReason } from '../crl/reasons.ts';
import {
  bitString,
  context,
  contextPrimitive,
  enumerated,
  generalizedTime,
  octetString,
  oid,
  sequence,
} from '../der/writer.ts';
import { OCSP_OIDS } from './oids.ts';
import { nonceExtension } from './request.ts';

/** What is known of one certificate. `unknown`: this CA never issued it, or does not know. */
export type CertStatus =
  | { readonly status: 'good' }
  | { readonly status: 'revoked'; readonly revokedAt: Date; readonly reason?: RevocationReason }
  | { readonly status: 'unknown' };

/** The part of an answer that tells of one certificate. */
export interface OcspSingle {
  /** Only the DER is used: it is echoed byte for byte. */
  readonly certId: { readonly der: Uint8Array };
  readonly status: CertStatus;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
}

/** What an answer says, before it is signed. */
export interface OcspContents {
  /** SHA-1 of the key that signs (`responderKeyHash`, or `OcspIssuer.keyHash` when the CA itself signs). */
  readonly responderKeyHash: Uint8Array;
  readonly producedAt: Date;
  readonly responses: readonly OcspSingle[];
  /** Copied from the request (RFC 9654 section 2.1). */
  readonly nonce?: Uint8Array;
}

/** OCSPResponseStatus (RFC 6960 section 4.2.1), without `successful` and `sigRequired`. */
const ERROR_STATUS = { malformedRequest: 1, internalError: 2, tryLater: 3, unauthorized: 6 } as const;
export type OcspErrorStatus = keyof typeof ERROR_STATUS;

const GOOD = contextPrimitive(0, new Uint8Array(0));
const UNKNOWN = contextPrimitive(2, new Uint8Array(0));
const SUCCESSFUL = enumerated(0);
const BASIC = oid(OCSP_OIDS.basic);

/** The ResponseData, DER (RFC 6960 section 4.2.1): what the responder signs. REQ-KEY-REV-02 */
export function tbsOcspResponse(v: OcspContents): Uint8Array {
  const parts = [
    context(2, octetString(v.responderKeyHash)),
    generalizedTime(v.producedAt),
    sequence(...v.responses.map(single)),
  ];
  if (v.nonce !== undefined) parts.push(context(1, sequence(nonceExtension(v.nonce))));
  return sequence(...parts);
}

function single({ certId, status, thisUpdate, nextUpdate }: OcspSingle): Uint8Array {
  return sequence(certId.der, certStatus(status), generalizedTime(thisUpdate), context(0, generalizedTime(nextUpdate)));
}

function certStatus(status: CertStatus): Uint8Array {
  switch (status.status) {
    case 'good':
      return GOOD;
    case 'unknown':
      return UNKNOWN;
    case 'revoked': {
      const code = REVOCATION_REASONS[status.reason ?? 'unspecified'];
      const time = generalizedTime(status.revokedAt);
      // `unspecified` is left out, as in CRLs (RFC 5280 section 5.3.1).
      return code === 0 ? context(1, time) : context(1, time, context(0, enumerated(code)));
    }
  }
}

/**
 * The OCSPResponse, DER, of a signed ResponseData. `certs` is the delegated responder's certificate, which clients
 * need to check the signature; empty when the CA itself signs.
 */
export function ocspResponse(
  tbs: Uint8Array,
  algorithm: SignatureAlgorithm,
  signature: Uint8Array,
  certs: readonly DerCertificate[],
): Uint8Array {
  const parts = [tbs, signatureAlgorithmDer(algorithm), bitString(signature)];
  if (certs.length > 0) parts.push(context(0, sequence(...certs)));
  return sequence(SUCCESSFUL, context(0, sequence(BASIC, octetString(sequence(...parts)))));
}

/** An answer without status, unsigned (RFC 6960 section 2.3). */
export const ocspError = (status: OcspErrorStatus): Uint8Array => sequence(enumerated(ERROR_STATUS[status]));
