import { type ErrorCode, KeysteadError } from '@keystead/core/errors';
import { z } from 'zod';
import { RejectedIdentifiers } from './errors.ts';

/** Types of RFC 8555 section 6.7, RFC 9773 section 7.4 and draft-ietf-acme-device-attest-10 section 9.3. */
const PROBLEM_TYPES = [
  'accountDoesNotExist',
  'alreadyReplaced',
  'alreadyRevoked',
  'badAttestationStatement',
  'badCSR',
  'badNonce',
  'badPublicKey',
  'badRevocationReason',
  'badSignatureAlgorithm',
  'connection',
  'dns',
  'externalAccountRequired',
  'incorrectResponse',
  'invalidContact',
  'malformed',
  'orderNotReady',
  'rateLimited',
  'rejectedIdentifier',
  'serverInternal',
  'tls',
  'unauthorized',
  'unsupportedContact',
  'unsupportedIdentifier',
] as const;
export type ProblemType = (typeof PROBLEM_TYPES)[number];

const URN = 'urn:ietf:params:acme:error:';
const identifier = z.strictObject({ type: z.string(), value: z.string() });
const part = { type: z.string(), detail: z.string() };
const ProblemSchema = z.strictObject({
  ...part,
  status: z.int(),
  subproblems: z.array(z.strictObject({ ...part, identifier })).optional(),
});
/** A problem document (RFC 9457, RFC 8555 section 6.7). */
export type Problem = z.output<typeof ProblemSchema>;

/** The one table from what broke to what ACME calls it, and its HTTP status. */
const PROBLEMS: Partial<Record<ErrorCode, readonly [ProblemType, number]>> = {
  'acme.bad-nonce': ['badNonce', 400],
  'acme.bad-signature-algorithm': ['badSignatureAlgorithm', 400],
  'acme.bad-public-key': ['badPublicKey', 400],
  'acme.url-differs': ['unauthorized', 403],
  'acme.content-type': ['malformed', 415],
  'acme.method': ['malformed', 405],
  'acme.unknown': ['malformed', 404],
  'acme.account-unknown': ['accountDoesNotExist', 400],
  'acme.account-not-valid': ['unauthorized', 401],
  'acme.account-key-taken': ['malformed', 409],
  'acme.contact-unsupported': ['unsupportedContact', 400],
  'acme.contact-invalid': ['invalidContact', 400],
  'acme.binding-required': ['externalAccountRequired', 403],
  'acme.binding-refused': ['unauthorized', 403],
  'acme.identifier-unsupported': ['unsupportedIdentifier', 400],
  'acme.identifier-rejected': ['rejectedIdentifier', 403],
  'acme.order-not-ready': ['orderNotReady', 403],
  'acme.csr-differs': ['badCSR', 400],
  'acme.already-revoked': ['alreadyRevoked', 400],
  'acme.bad-revocation-reason': ['badRevocationReason', 400],
  'acme.revocation-forbidden': ['unauthorized', 403],
  'acme.already-replaced': ['alreadyReplaced', 409],
  'acme.attestation-refused': ['badAttestationStatement', 400],
  'acme.rate-limited': ['rateLimited', 429],
  'acme.network-forbidden': ['rejectedIdentifier', 403],
  'acme.connection': ['connection', 400],
  'acme.dns': ['dns', 400],
  'acme.tls': ['tls', 400],
  'acme.response-incorrect': ['incorrectResponse', 403],
  'authorisation.name-forbidden': ['rejectedIdentifier', 403],
  'enrolment-request.too-many': ['rateLimited', 429],
  'name.malformed': ['rejectedIdentifier', 403],
};

/** What stands for a whole family of codes. */
const FAMILIES: readonly (readonly [string, readonly [ProblemType, number]])[] = [
  ['csr.', ['badCSR', 400]],
  ['key.', ['badCSR', 400]],
  ['authorisation.', ['unauthorized', 403]],
  ['attestation.', ['badAttestationStatement', 400]],
  ['client.certificate-', ['badAttestationStatement', 400]],
  ['device.', ['rejectedIdentifier', 403]],
  ['requester.', ['rejectedIdentifier', 403]],
  ['profile.', ['unauthorized', 403]],
];

function kindOf(error: KeysteadError): readonly [ProblemType, number] {
  if (error.kind === 'unavailable') return ['serverInternal', 503];
  if (error.kind === 'internal') return ['serverInternal', 500];
  const known = PROBLEMS[error.code] ?? FAMILIES.find(([prefix]) => error.code.startsWith(prefix))?.[1];
  return known ?? ['malformed', error.kind === 'too-large' ? 413 : error.kind === 'not-found' ? 404 : 400];
}

/** The problem document of a failure: its detail says the rule, what was seen, what to do, and Keystead's own code. */
export function problemOf(error: KeysteadError): Problem {
  const [type, status] = kindOf(error);
  const problem: Problem = { type: `${URN}${type}`, detail: detailOf(error), status };
  if (!(error instanceof RejectedIdentifiers)) return problem;
  return {
    ...problem,
    subproblems: error.rejected.map((one) => ({
      type: `${URN}${kindOf(one.error)[0]}`,
      detail: detailOf(one.error),
      identifier: one.identifier,
    })),
  };
}

function detailOf(error: KeysteadError): string {
  // What is wrong inside is for the log alone.
  if (error.kind === 'internal') return `${new KeysteadError(error.code).message} [${error.code}]`;
  const remedy = error.remedy === undefined ? '' : `; ${error.remedy}`;
  return `${error.message}${remedy} [${error.code}]`;
}

/** Reads a problem document that stands in the records. */
export const parseProblem = (text: string): Problem => ProblemSchema.parse(JSON.parse(text));
