import { type DerCertificate, type Serial, sameBytes } from '../../bytes/index.ts';
import { sha1Identifier, verifySignature } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type CertificateInfo, readCertificate } from '../certificate.ts';
import type { CrlReason } from '../crl/reasons.ts';
import { sameName } from '../names.ts';
import { EXTENSIONS } from '../oids.ts';
import { type OcspAnswer, type OcspAnswerSingle, parseOcspResponse } from './answer.ts';
import { OcspIssuer } from './cert-id.ts';

/**
 * How far a thisUpdate may lie ahead of the reader's clock: a device's clock may be behind. nextUpdate has no such
 * allowance, since it would make every answer live longer than its responder promised.
 */
const FUTURE_TOLERANCE_SECONDS = 60;

export interface OcspExpectation {
  /** The CA that issued the certificate in question. */
  readonly issuer: DerCertificate;
  readonly serial: Serial;
  readonly now: Date;
  /** The nonce that was sent: the answer must carry the same (RFC 9654 section 2.1). */
  readonly nonce?: Uint8Array;
  /** Seconds that thisUpdate and producedAt may lie in the future; 60 unless said otherwise. */
  readonly futureToleranceSeconds?: number;
}

/** A status that may be relied on until `nextUpdate`. */
export interface CheckedCertStatus {
  readonly status: 'good' | 'revoked' | 'unknown';
  readonly revokedAt?: Date;
  readonly reason?: CrlReason;
  readonly producedAt: Date;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
}

/**
 * Reads an OCSPResponse and checks all that RFC 6960 section 3.2 asks of a client: that it is for this certificate
 * and nonce, of the present, and signed by the issuer or by a responder to which the issuer itself gave the right
 * (extended key usage OCSPSigning, valid now, exempt from revocation checks by id-pkix-ocsp-nocheck).
 * REQ-KEY-REV-02, REQ-KEY-REV-03
 * @throws KeysteadError `ocsp.answer-malformed`, `ocsp.answer-refused` (an error status), `ocsp.answer-untrusted`,
 *   `ocsp.answer-mismatch` (another certificate or nonce), `ocsp.answer-stale`. None of them says that the
 *   certificate is bad: they say that its status is not known.
 */
export function readOcspResponse(der: Uint8Array, expected: OcspExpectation): CheckedCertStatus {
  const answer = parseOcspResponse(der);
  const issuer = readCertificate(expected.issuer);
  checkSignature(answer, issuer, expected.now);
  if (expected.nonce !== undefined && (answer.nonce === undefined || !sameBytes(answer.nonce, expected.nonce)))
    throw new KeysteadError('ocsp.answer-mismatch', {
      field: 'nonce',
      seen: answer.nonce === undefined ? 'no nonce' : 'another nonce',
    });
  const names = new OcspIssuer(issuer);
  const found = answer.singles.filter(({ certId }) => certId.serial === expected.serial && names.issued(certId));
  const [single] = found;
  if (single === undefined || found.length > 1)
    throw new KeysteadError('ocsp.answer-mismatch', {
      field: 'certID',
      seen: `${found.length} statuses of the certificate`,
    });
  const nextUpdate = checkTimes(answer, single, expected);
  const { status, revokedAt, reason, thisUpdate } = single;
  return { status, revokedAt, reason, producedAt: answer.producedAt, thisUpdate, nextUpdate };
}

function checkTimes(answer: OcspAnswer, single: OcspAnswerSingle, expected: OcspExpectation): Date {
  const now = expected.now.getTime();
  const latest = now + (expected.futureToleranceSeconds ?? FUTURE_TOLERANCE_SECONDS) * 1000;
  const stale = (field: string, time: Date | undefined) =>
    new KeysteadError('ocsp.answer-stale', {
      field,
      seen: `${time?.toISOString() ?? 'none'}, now ${expected.now.toISOString()}`,
    });
  if (answer.producedAt.getTime() > latest) throw stale('producedAt', answer.producedAt);
  if (single.thisUpdate.getTime() > latest) throw stale('thisUpdate', single.thisUpdate);
  // RFC 5019 section 4: without nextUpdate an answer could be replayed for ever.
  if (single.nextUpdate === undefined || single.nextUpdate.getTime() <= now)
    throw stale('nextUpdate', single.nextUpdate);
  return single.nextUpdate;
}

function checkSignature(answer: OcspAnswer, issuer: CertificateInfo, now: Date): void {
  const algorithm = answer.signatureAlgorithm;
  if (algorithm === undefined) throw untrusted('an unknown signature algorithm');
  const signer = isResponder(answer, issuer) ? issuer : delegated(answer, issuer, now);
  if (!verifySignature(algorithm, signer.spki, answer.tbs, answer.signature))
    throw untrusted('a signature that does not verify');
}

/** The delegated responder's certificate (RFC 6960 section 4.2.2.2), checked. @throws KeysteadError */
function delegated(answer: OcspAnswer, issuer: CertificateInfo, now: Date): CertificateInfo {
  const responder = answer.certs.map(readResponder).find((certificate) => isResponder(answer, certificate));
  if (responder === undefined) throw untrusted('no certificate of the responder that it names');
  // Directly by the CA that issued the certificate in question: not by one above it, nor by one with its name.
  if (!sameName(responder.issuer, issuer.subject)) throw untrusted('a responder of another issuer');
  const { signatureAlgorithm } = responder;
  if (
    signatureAlgorithm === undefined ||
    !verifySignature(signatureAlgorithm, issuer.spki, responder.tbs, responder.signature)
  )
    throw untrusted('a responder that the issuer did not sign');
  if (!responder.extKeyUsage.includes('OCSPSigning')) throw untrusted('a responder without the key usage OCSPSigning');
  if (responder.keyUsage.length > 0 && !responder.keyUsage.includes('digitalSignature'))
    throw untrusted('a responder whose key must not sign');
  if (responder.notBefore > now || responder.notAfter < now)
    throw untrusted('a responder whose certificate is not valid now');
  // Without it the responder's own status would have to be asked for first; what is not done is not assumed.
  if (!responder.ocspNoCheck) throw untrusted('a responder without id-pkix-ocsp-nocheck');
  const strange = responder.extensions.find(({ oid, critical }) => critical && !KNOWN_CRITICAL.has(oid));
  if (strange !== undefined) throw untrusted(`a responder with the critical extension ${strange.oid}`);
  return responder;
}

const KNOWN_CRITICAL = new Set<string>([
  EXTENSIONS.keyUsage,
  EXTENSIONS.extKeyUsage,
  EXTENSIONS.basicConstraints,
  EXTENSIONS.subjectAltName,
  EXTENSIONS.ocspNoCheck,
]);

function readResponder(der: DerCertificate): CertificateInfo {
  try {
    return readCertificate(der);
  } catch (cause) {
    throw new KeysteadError('ocsp.answer-malformed', {
      field: 'certs',
      seen: 'a certificate that cannot be read',
      cause,
    });
  }
}

function isResponder({ responder }: OcspAnswer, certificate: CertificateInfo): boolean {
  return 'keyHash' in responder
    ? sameBytes(responder.keyHash, sha1Identifier(certificate.keyBits))
    : sameBytes(responder.nameDer, certificate.subjectDer);
}

const untrusted = (seen: string): KeysteadError =>
  new KeysteadError('ocsp.answer-untrusted', { field: 'signature', seen });
