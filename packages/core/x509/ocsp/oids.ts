/** Object identifiers of OCSP (RFC 6960 appendix B.1). */
export const OCSP_OIDS = {
  basic: '1.3.6.1.5.5.7.48.1.1',
  nonce: '1.3.6.1.5.5.7.48.1.2',
} as const;

/** Hashes of a CertID: SHA-1 is what RFC 5019 section 2.1.1 asks for; it names a key here and protects nothing. */
export const CERT_ID_HASHES = {
  sha1: { oid: '1.3.14.3.2.26', octets: 20 },
  sha256: { oid: '2.16.840.1.101.3.4.2.1', octets: 32 },
} as const;
export type CertIdHash = keyof typeof CERT_ID_HASHES;

/** RFC 9654 section 2.1: a nonce has from 1 to 128 octets; a client should send 32. */
export const NONCE_OCTETS = { min: 1, max: 128, usual: 32 } as const;
