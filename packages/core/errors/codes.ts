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

export interface ErrorEntry {
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
  'internal.unexpected': {
    kind: 'internal',
    rule: 'an unexpected failure; nothing was changed',
    remedy: 'look up the request id in the log',
  },
  // ---- certification requests
  'csr.not-der': { kind: 'invalid', rule: 'a certification request must be DER by RFC 2986' },
  'csr.signature-invalid': {
    kind: 'invalid',
    rule: 'the proof of possession (the signature of the request by its own key) must verify',
  },
  'csr.subject-mismatch': { kind: 'forbidden', rule: 'the subject must be that of the authenticated requester' },
  'csr.extension-forbidden': {
    kind: 'invalid',
    rule: 'the request may ask only for extensions that the profile allows',
  },
  // ---- public keys (goodkey)
  'key.algorithm-forbidden': {
    kind: 'invalid',
    rule: 'the key must be of an algorithm and size that the profile allows',
  },
  'key.weak': { kind: 'invalid', rule: 'the key is weak: it fails a check of its parameters' },
  'key.known-compromised': {
    kind: 'invalid',
    rule: 'the key is publicly known and may never be used',
    remedy: 'make a new key',
  },
  'key.already-used': {
    kind: 'conflict',
    rule: 'a key belongs to one device and one certificate for all time',
    remedy: 'make a new key',
  },
  // ---- policy and lifecycle
  'policy.malformed': { kind: 'invalid', rule: 'the policy must have the form of the policy schema' },
  'policy.algorithm-too-weak': {
    kind: 'invalid',
    rule: 'nothing below 128 bits of strength is issued (SP 800-57 pt 1 r5 table 2)',
  },
  'policy.algorithm-not-listed': {
    kind: 'invalid',
    rule: 'a profile may use only algorithms that the policy lists in `algorithms`',
  },
  'policy.profile-duplicate': { kind: 'invalid', rule: 'each profile stands in the policy once' },
  'policy.profile-missing': {
    kind: 'invalid',
    rule: 'the policy must hold every profile that Keystead asks for by name',
  },
  'policy.hierarchy': {
    kind: 'invalid',
    rule: 'a profile must keep its place in the hierarchy: roots sign themselves, the root signs the online CAs (pathLen 0), the online CAs sign the rest',
  },
  'policy.validity-too-long': {
    kind: 'invalid',
    rule: 'a validity may not be longer than the ceiling of its profile and the validity of its issuer',
  },
  'policy.crl-refresh-late': { kind: 'invalid', rule: 'a CRL must be made again before the last one ends' },
  'policy.ocsp-responder-outlived': {
    kind: 'invalid',
    rule: 'an OCSP responder must stop signing before its answers would outlive its certificate',
  },
  'policy.operator-duplicate': {
    kind: 'invalid',
    rule: 'each operator has a name and a key that no other operator has',
  },
  'policy.roles-conflict': { kind: 'invalid', rule: 'one person may not hold roles that check one another' },
  'profile.unknown': { kind: 'invalid', rule: 'the profile must be one that the policy holds' },
  'key.transition-forbidden': {
    kind: 'conflict',
    rule: 'the key may change its state only by a transition of the table (SP 800-57 pt 1 r5 section 7)',
  },
} as const satisfies Record<string, ErrorEntry>;

/** A stable error code such as `csr.signature-invalid`. */
export type ErrorCode = keyof typeof ERRORS;
