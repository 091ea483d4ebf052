import { toHex } from '../bytes/index.ts';
import { sha256 } from '../crypto/index.ts';
import { parseCertReqMsg } from './cmp/certificate-request.ts';
import { type ParsedCsr, parseCsr } from './csr.ts';

/** PKCS#10 (RFC 2986), or a CertReqMsg of CRMF (RFC 4211). */
export const REQUEST_FORMATS = ['pkcs10', 'crmf'] as const;
export type RequestFormat = (typeof REQUEST_FORMATS)[number];

/**
 * Reads a certification request, DER, of either format; what comes after makes no difference between them.
 * @throws KeysteadError as `parseCsr` and `parseCertReqMsg` do.
 */
export const parseRequest = (der: Uint8Array, format: RequestFormat = 'pkcs10'): ParsedCsr =>
  format === 'crmf' ? parseCertReqMsg(der) : parseCsr(der);

/**
 * The name of a request, 64 lower-case hex digits: the same again, for its answer was lost, is the same request. Of CRMF
 * without the proof of possession, which a client makes anew each time and an ECDSA signature is never the same twice.
 */
export const requestSha256 = (request: ParsedCsr): string => toHex(sha256(request.identity));
