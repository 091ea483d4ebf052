/**
 * The class of a failure. Protocols map it to their own codes:
 * invalid 400, unauthenticated 401, forbidden 403, not-found 404, conflict 409, too-large 413,
 * unsupported 415, too-many 429, internal 500, unavailable 503.
 */
export type ErrorKind =
  | 'invalid'
  | 'unauthenticated'
  | 'forbidden'
  | 'not-found'
  | 'conflict'
  | 'too-large'
  | 'unsupported'
  | 'too-many'
  | 'internal'
  | 'unavailable';

interface ErrorEntry {
  readonly kind: ErrorKind;
  /** The rule that was broken, as a sentence without a full stop. */
  readonly rule: string;
  /** What the reader can do about it. */
  readonly remedy?: string;
}

/** Every failure that Keystead reports on purpose. Codes are stable: never rename, only add. */
export const ERRORS = {
  // ---- requests as such
  'request.malformed': { kind: 'invalid', rule: 'the request does not have the form that this operation takes' },
  'request.too-large': { kind: 'too-large', rule: 'the body is larger than this operation takes' },
  'request.content-type': { kind: 'unsupported', rule: 'the content type is not the one that this operation takes' },
  'internal.unexpected': { kind: 'internal', rule: 'an unexpected failure; nothing was changed', remedy: 'look up the request id in the log' },
  // ---- certification requests
  'csr.not-der': { kind: 'invalid', rule: 'a certification request must be DER by RFC 2986' },
  'csr.signature-invalid': { kind: 'invalid', rule: 'the proof of possession (the signature of the request by its own key) must verify' },
  'csr.subject-mismatch': { kind: 'forbidden', rule: 'the subject must be that of the authenticated requester' },
  'csr.extension-forbidden': { kind: 'invalid', rule: 'the request may ask only for extensions that the profile allows' },
  // ---- public keys (goodkey)
  'key.algorithm-forbidden': { kind: 'invalid', rule: 'the key must be of an algorithm and size that the profile allows' },
  'key.weak': { kind: 'invalid', rule: 'the key is weak: it fails a check of its parameters' },
  'key.known-compromised': { kind: 'invalid', rule: 'the key is publicly known and may never be used', remedy: 'make a new key' },
  'key.already-used': { kind: 'conflict', rule: 'a key belongs to one device and one certificate for all time', remedy: 'make a new key' },
} as const satisfies Record<string, ErrorEntry>;

/** A stable error code such as `csr.signature-invalid`. */
export type ErrorCode = keyof typeof ERRORS;
