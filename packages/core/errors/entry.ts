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
