import { type ErrorCode, type ErrorKind, KeysteadError } from '@keystead/core/errors';

/** The one table from a class of failure to an HTTP status code (RFC 9110 section 15). */
export const HTTP_STATUS: Readonly<Record<ErrorKind, number>> = {
  invalid: 400,
  unauthenticated: 401,
  forbidden: 403,
  'not-found': 404,
  conflict: 409,
  'too-large': 413,
  unsupported: 415,
  'too-many': 429,
  internal: 500,
  unavailable: 503,
};

/** Failures that fastify finds before a route runs, in Keystead's terms: the code and the field. */
const FASTIFY_CODES: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: ['request.too-large', 'body'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: ['request.content-type', 'Content-Type'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['request.malformed', 'Content-Length'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['request.malformed', 'body'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['request.malformed', 'body'],
  FST_ERR_BAD_URL: ['request.malformed', 'path'],
};

/** Any thrown value as a KeysteadError; what was not expected becomes `internal.unexpected` without detail. */
export function asKeysteadError(thrown: unknown): KeysteadError {
  if (thrown instanceof KeysteadError) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const known = FASTIFY_CODES[code];
  if (known !== undefined) return new KeysteadError(known[0], { field: known[1], cause: thrown });
  const status = thrown instanceof Error && 'statusCode' in thrown ? Number(thrown.statusCode) : 500;
  return new KeysteadError(status >= 400 && status < 500 ? 'request.malformed' : 'internal.unexpected', {
    cause: thrown,
  });
}
