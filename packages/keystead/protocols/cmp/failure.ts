import type { CmpFailure, CmpStatusInfo } from '@keystead/core/cmp';
import type { ErrorKind, KeysteadError } from '@keystead/core/errors';

/** The one table from an error to a PKIFailureInfo (RFC 9810 section 5.2.3). What is not here goes by its kind. */
const BY_CODE: Readonly<Record<string, CmpFailure>> = {
  'authorisation.name-forbidden': 'badCertTemplate',
  'authorisation.profile-forbidden': 'badCertTemplate',
  'authorisation.secret-wrong': 'badMessageCheck',
  'certificate.unknown': 'badCertId',
  'client.certificate-foreign': 'signerNotTrusted',
  'client.certificate-malformed': 'signerNotTrusted',
  'client.certificate-revoked': 'certRevoked',
  'client.certificate-unknown': 'signerNotTrusted',
  'client.certificate-unsuitable': 'signerNotTrusted',
  'client.certificate-expired': 'signerNotTrusted',
  'clock.went-back': 'timeNotAvailable',
  'cmp.algorithm-unsupported': 'badAlg',
  'cmp.body-unsupported': 'badRequest',
  'cmp.confirmation-late': 'certRevoked',
  'cmp.confirmation-refused': 'badCertId',
  'cmp.header-incomplete': 'badDataFormat',
  'cmp.malformed': 'badDataFormat',
  'cmp.nonce-refused': 'badRecipientNonce',
  'cmp.not-by-mac': 'wrongIntegrity',
  'cmp.off': 'systemUnavail',
  'cmp.old-certificate': 'badCertId',
  'cmp.one-request': 'badRequest',
  'cmp.pop-refused': 'badPOP',
  'cmp.profile-differs': 'badRequest',
  'cmp.protection-invalid': 'badMessageCheck',
  'cmp.protection-missing': 'badMessageCheck',
  'cmp.recipient-wrong': 'wrongAuthority',
  'cmp.revocation-refused': 'notAuthorized',
  'cmp.template-refused': 'badCertTemplate',
  'cmp.time-refused': 'badTime',
  'cmp.transaction-unknown': 'badRequest',
  'cmp.transaction-used': 'transactionIdInUse',
  'cmp.version-unsupported': 'unsupportedVersion',
  'csr.extension-forbidden': 'unacceptedExtension',
  'csr.not-der': 'badDataFormat',
  'csr.signature-algorithm': 'badAlg',
  'csr.signature-invalid': 'badPOP',
  'csr.subject-mismatch': 'badCertTemplate',
  'key.algorithm-forbidden': 'badAlg',
  'key.already-used': 'duplicateCertReq',
  'key.known-compromised': 'badCertTemplate',
  'key.weak': 'badCertTemplate',
  'name.malformed': 'badCertTemplate',
  'revocation.final': 'certRevoked',
};

const BY_KIND: Readonly<Record<ErrorKind, CmpFailure>> = {
  invalid: 'badRequest',
  unauthenticated: 'badMessageCheck',
  forbidden: 'notAuthorized',
  'not-found': 'badRequest',
  conflict: 'badRequest',
  'too-large': 'badDataFormat',
  unsupported: 'badRequest',
  'too-many': 'systemUnavail',
  internal: 'systemFailure',
  unavailable: 'systemUnavail',
};

export const failureOf = ({ code, kind }: KeysteadError): CmpFailure => BY_CODE[code] ?? BY_KIND[kind];

/** A refusal in words for people: stable code, rule, what to do, request id. */
export function rejection(error: KeysteadError, requestId: string): CmpStatusInfo {
  const remedy = error.remedy === undefined ? '' : `; what to do: ${error.remedy}`;
  const text = `${error.code}: ${error.message}${remedy} (request ${requestId})`;
  return { status: 'rejection', text: text.slice(0, 1000), failure: failureOf(error) };
}

/**
 * The HTTP status of an answer (RFC 9811 section 3.3): a message that was understood gets 200 whatever CMP says in it,
 * since clients read no body beside another one; what HTTP itself can tell is told.
 */
export function httpStatusOf({ code, kind }: KeysteadError): number {
  if (code === 'cmp.off') return 404;
  if (kind === 'unavailable') return 503;
  return kind === 'internal' ? 500 : 200;
}
