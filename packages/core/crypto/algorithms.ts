/** Keys that Keystead knows. RSA-2048 (112 bits, SP 800-57 pt 1 r5 table 2) is accepted from others, never made. */
export type KeyAlgorithm = 'P-256' | 'P-384' | 'Ed25519' | 'RSA-2048' | 'RSA-3072' | 'RSA-4096';

/** Signatures, by their X.509 names (RFC 5758 section 3.2, RFC 8410 section 3, RFC 8017 appendix A.2.4). */
export type SignatureAlgorithm =
  | 'ecdsa-with-SHA256'
  | 'ecdsa-with-SHA384'
  | 'Ed25519'
  | 'sha256WithRSAEncryption'
  | 'sha384WithRSAEncryption';

/** Keys that Keystead makes: at least 128 bits of strength. */
export type GeneratedKeyAlgorithm = Exclude<KeyAlgorithm, 'RSA-2048'>;

/** The one signature that a key of each algorithm makes: a hash of at least the key's strength (SP 800-57 pt 1 r5 table 3). */
export const SIGNATURE_OF: Readonly<Record<KeyAlgorithm, SignatureAlgorithm>> = {
  'P-256': 'ecdsa-with-SHA256',
  'P-384': 'ecdsa-with-SHA384',
  Ed25519: 'Ed25519',
  'RSA-2048': 'sha256WithRSAEncryption',
  'RSA-3072': 'sha256WithRSAEncryption',
  'RSA-4096': 'sha384WithRSAEncryption',
};

/** The hash under each signature, by its OpenSSL name; null where the scheme has its own (Ed25519, RFC 8032). */
export const DIGEST_OF: Readonly<Record<SignatureAlgorithm, 'sha256' | 'sha384' | null>> = {
  'ecdsa-with-SHA256': 'sha256',
  'ecdsa-with-SHA384': 'sha384',
  Ed25519: null,
  sha256WithRSAEncryption: 'sha256',
  sha384WithRSAEncryption: 'sha384',
};
