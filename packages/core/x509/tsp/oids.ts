/** Object identifiers and numbers of the Time-Stamp Protocol (RFC 3161), each with its source. */

/** The content type of a token (section 2.4.2). */
export const TST_INFO = '1.2.840.113549.1.9.16.1.4';

/**
 * Digests that are stamped, with their octets (RFC 5754 section 2). SHA-1 and MD5 are left out on purpose: who stamps a
 * digest of which two documents can be found vouches for neither.
 */
export const IMPRINT_HASHES = {
  sha256: { oid: '2.16.840.1.101.3.4.2.1', octets: 32 },
  sha384: { oid: '2.16.840.1.101.3.4.2.2', octets: 48 },
  sha512: { oid: '2.16.840.1.101.3.4.2.3', octets: 64 },
} as const;
export type ImprintHash = keyof typeof IMPRINT_HASHES;
export const IMPRINT_HASH_NAMES = Object.keys(IMPRINT_HASHES) as [ImprintHash, ...ImprintHash[]];

/** Bits of PKIFailureInfo (section 2.4.2). */
export const TSP_FAILURES = {
  badAlg: 0,
  badRequest: 2,
  badDataFormat: 5,
  timeNotAvailable: 14,
  unacceptedPolicy: 15,
  unacceptedExtension: 16,
  addInfoNotAvailable: 17,
  systemFailure: 25,
} as const;
export type TspFailure = keyof typeof TSP_FAILURES;

/** The most octets of a nonce: clients use 8; one of the length of a hash is taken too. */
export const MOST_NONCE_OCTETS = 32;
