import { KeysteadError } from '../../errors/index.ts';
import type { CertificateInfo } from '../certificate.ts';
import { readOcspResponse } from '../ocsp/verify.ts';
import type { CertificateStatus } from './rules.ts';

/** A stapled answer and a few of a cache: more are not looked at. */
const MOST_ANSWERS = 16;

/**
 * Tells a certificate's status from OCSP answers (RFC 6960 section 3.2): stapled in the handshake, or asked for. An
 * answer for another certificate is passed over. Revoked wins over good. Never throws.
 * REQ-KEY-REV-03
 */
export function ocspStatus(
  certificate: CertificateInfo,
  issuer: CertificateInfo,
  answers: readonly Uint8Array[],
  now: Date,
): CertificateStatus {
  let best: CertificateStatus = { status: 'undetermined', rule: 'status-unavailable', detail: 'no OCSP answer' };
  for (const answer of answers.slice(0, MOST_ANSWERS)) {
    const said = judge(certificate, issuer, answer, now);
    if (said.status === 'revoked') return said;
    if (best.status === 'undetermined' && said.status !== best.status) best = said;
    else if (best.status === 'undetermined' && best.rule === 'status-unavailable') best = said;
  }
  return best;
}

function judge(
  certificate: CertificateInfo,
  issuer: CertificateInfo,
  answer: Uint8Array,
  now: Date,
): CertificateStatus {
  try {
    const said = readOcspResponse(answer, { issuer: issuer.der, serial: certificate.serial, now });
    if (said.status === 'good') return { status: 'good', by: 'ocsp', until: said.nextUpdate };
    if (said.status === 'unknown')
      return { status: 'undetermined', rule: 'status-unknown', detail: 'the responder does not know the certificate' };
    return { status: 'revoked', by: 'ocsp', revokedAt: said.revokedAt, reason: said.reason };
  } catch (error) {
    if (!(error instanceof KeysteadError)) throw error;
    const detail = `the OCSP answer: ${error.message}`;
    if (error.code === 'ocsp.answer-stale') return { status: 'undetermined', rule: 'status-stale', detail };
    if (error.code === 'ocsp.answer-mismatch') return { status: 'undetermined', rule: 'status-unavailable', detail };
    return { status: 'undetermined', rule: 'status-unverified', detail };
  }
}
