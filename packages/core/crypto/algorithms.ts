/** Keys that Keystead knows. RSA-2048 (112 bits, SP 800-57 pt 1 r5 table 2) is accepted from others, never made. */
export type KeyAlgorithm = 'P-256' | 'P-384' | 'Ed25519' | 'RSA-2048' | 'RSA-3072' | 'RSA-4096' | PostQuantumAlgorithm;

/**
 * Against quantum computers, as second signatures of firmware: FIPS 204, and FIPS 205 in its small sets of SHA-2, for who
 * trusts hashes alone. A key and its signature have one name, as in RFC 9881 and RFC 9909.
 */
export const POST_QUANTUM_ALGORITHMS = [
  'ML-DSA-65',
  'ML-DSA-87',
  'SLH-DSA-SHA2-128s',
  'SLH-DSA-SHA2-192s',
  'SLH-DSA-SHA2-256s',
] as const;
export type PostQuantumAlgorithm = (typeof POST_QUANTUM_ALGORITHMS)[number];

export const isPostQuantum = (algorithm: string): algorithm is PostQuantumAlgorithm =>
  POST_QUANTUM_ALGORITHMS.some((one) => one === algorithm);

/** Signatures, by their X.509 names (RFC 5758 section 3.2, RFC 8410 section 3, RFC 8017 appendix A.2.4). */
export type SignatureAlgorithm =
  | 'ecdsa-with-SHA256'
  | 'ecdsa-with-SHA384'
  | 'Ed25519'
  | 'sha256WithRSAEncryption'
  | 'sha384WithRSAEncryption'
  | PostQuantumAlgorithm;

/**
 * RSASSA-PSS (RFC 8017 section 8.1) with MGF1 of the same hash and a salt of its length, for boot chains that ask for it;
 * `longest`: a salt as long as the key lets it be, which older U-Boot takes alone (FIPS 186-5 section 5.4 has no salt that
 * is longer than the hash). Nothing of X.509 is signed so here.
 */
export type PssScheme =
  | 'RSASSA-PSS-SHA256'
  | 'RSASSA-PSS-SHA384'
  | 'RSASSA-PSS-SHA256-longest'
  | 'RSASSA-PSS-SHA384-longest';

/** All by which a key of Keystead can sign. */
export type SignatureScheme = SignatureAlgorithm | PssScheme;

/** Keys that Keystead makes: at least 128 bits of strength. */
export type GeneratedKeyAlgorithm = Exclude<KeyAlgorithm, 'RSA-2048'>;

/** Of these, what tokens and TPMs can make; keys against quantum computers are kept in a sealed file. */
export type ClassicalKeyAlgorithm = Exclude<GeneratedKeyAlgorithm, PostQuantumAlgorithm>;

/** The one signature that a key of each algorithm makes: a hash of at least the key's strength (SP 800-57 pt 1 r5 table 3). */
export const SIGNATURE_OF: Readonly<Record<KeyAlgorithm, SignatureAlgorithm>> = {
  'P-256': 'ecdsa-with-SHA256',
  'P-384': 'ecdsa-with-SHA384',
  Ed25519: 'Ed25519',
  'RSA-2048': 'sha256WithRSAEncryption',
  'RSA-3072': 'sha256WithRSAEncryption',
  'RSA-4096': 'sha384WithRSAEncryption',
  'ML-DSA-65': 'ML-DSA-65',
  'ML-DSA-87': 'ML-DSA-87',
  'SLH-DSA-SHA2-128s': 'SLH-DSA-SHA2-128s',
  'SLH-DSA-SHA2-192s': 'SLH-DSA-SHA2-192s',
  'SLH-DSA-SHA2-256s': 'SLH-DSA-SHA2-256s',
};

/** The hash under each signature, by its OpenSSL name; null where the scheme has its own (RFC 8032, FIPS 204, FIPS 205). */
export const DIGEST_OF: Readonly<Record<SignatureScheme, 'sha256' | 'sha384' | null>> = {
  'ecdsa-with-SHA256': 'sha256',
  'ecdsa-with-SHA384': 'sha384',
  Ed25519: null,
  sha256WithRSAEncryption: 'sha256',
  sha384WithRSAEncryption: 'sha384',
  'RSASSA-PSS-SHA256': 'sha256',
  'RSASSA-PSS-SHA384': 'sha384',
  'RSASSA-PSS-SHA256-longest': 'sha256',
  'RSASSA-PSS-SHA384-longest': 'sha384',
  'ML-DSA-65': null,
  'ML-DSA-87': null,
  'SLH-DSA-SHA2-128s': null,
  'SLH-DSA-SHA2-192s': null,
  'SLH-DSA-SHA2-256s': null,
};

/** What each kind of key can sign by; a hash may be stronger or weaker than its curve (FIPS 186-5 section 6.1). */
export const KEYS_FOR: Readonly<Record<SignatureScheme, readonly KeyAlgorithm[]>> = {
  'ecdsa-with-SHA256': ['P-256', 'P-384'],
  'ecdsa-with-SHA384': ['P-256', 'P-384'],
  Ed25519: ['Ed25519'],
  sha256WithRSAEncryption: ['RSA-2048', 'RSA-3072', 'RSA-4096'],
  sha384WithRSAEncryption: ['RSA-2048', 'RSA-3072', 'RSA-4096'],
  'RSASSA-PSS-SHA256': ['RSA-2048', 'RSA-3072', 'RSA-4096'],
  'RSASSA-PSS-SHA384': ['RSA-2048', 'RSA-3072', 'RSA-4096'],
  'RSASSA-PSS-SHA256-longest': ['RSA-2048', 'RSA-3072', 'RSA-4096'],
  'RSASSA-PSS-SHA384-longest': ['RSA-2048', 'RSA-3072', 'RSA-4096'],
  'ML-DSA-65': ['ML-DSA-65'],
  'ML-DSA-87': ['ML-DSA-87'],
  'SLH-DSA-SHA2-128s': ['SLH-DSA-SHA2-128s'],
  'SLH-DSA-SHA2-192s': ['SLH-DSA-SHA2-192s'],
  'SLH-DSA-SHA2-256s': ['SLH-DSA-SHA2-256s'],
};

export const isPss = (scheme: SignatureScheme): scheme is PssScheme => scheme.startsWith('RSASSA-PSS');

/** Octets of the salt of RSASSA-PSS under a modulus of so many octets. */
export function pssSaltOctets(scheme: PssScheme, modulusOctets: number): number {
  const hash = DIGEST_OF[scheme] === 'sha384' ? 48 : 32;
  // RFC 8017 section 9.1.1: emLen - hLen - 2.
  return scheme.endsWith('-longest') ? modulusOctets - hash - 2 : hash;
}
