import type { ErrorEntry } from '../entry.ts';

/** Derivation, agreement, encapsulation and wrapping. */
export const CRYPTO_ERRORS = {
  'kdf.length': {
    kind: 'invalid',
    rule: 'a derived key has 1 to 255 times as many bytes as the hash (RFC 5869 section 2.3), at most 8160 by SP 800-108 and SP 800-56C',
  },
  'kdf.purpose-malformed': {
    kind: 'invalid',
    rule: 'a purpose is a label of lower-case letters, digits, blanks, dots and hyphens',
  },
  'kdf.purpose-reused': { kind: 'conflict', rule: 'no derived key is used for a second purpose' },
  'kdf.salt-too-short': { kind: 'invalid', rule: 'a salt has at least 128 bits (SP 800-132 section 5.1)' },
  'kdf.iterations-too-low': {
    kind: 'invalid',
    rule: 'a passphrase is stretched as long as its user bears (SP 800-132 section 5.2): at least 600000 iterations with SHA-256, 210000 with SHA-512, three passes of Argon2id',
  },
  'kdf.memory-too-low': {
    kind: 'invalid',
    rule: 'Argon2id takes at least 64 MiB and three passes (RFC 9106 section 4)',
  },
  'kdf.key-too-short': {
    kind: 'invalid',
    rule: 'a key from a passphrase has at least 112 bits (SP 800-132 section 5.3)',
  },
  'kdf.cost-too-high': { kind: 'invalid', rule: 'the cost of a passphrase must be one that this machine can bear' },
  'kdf.passphrase-empty': { kind: 'invalid', rule: 'a passphrase may not be empty' },
  'kdf.not-approved': { kind: 'invalid', rule: 'in FIPS mode only PBKDF2 is approved (SP 800-132)' },
  'kdf.master-too-short': {
    kind: 'invalid',
    rule: 'keys are derived from a secret of at least 112 bits (SP 800-131A r2 section 8)',
  },
  'kdf.label-malformed': {
    kind: 'invalid',
    rule: 'a label says what the key is for and has no zero byte, which ends it (SP 800-108r1 section 4)',
  },
  'kdf.context-malformed': {
    kind: 'invalid',
    rule: 'the context of a derived key names its parties, each in bounds (SP 800-56C r2 section 4.1)',
  },
  'seal.damaged': {
    kind: 'invalid',
    rule: 'sealed bytes must be whole, unaltered and sealed by this key for this use',
  },
  'agreement.key-invalid': {
    kind: 'invalid',
    rule: 'a public key is validated in full before it is used: its group and one encoding, on the curve, not infinity, not of small order (SP 800-56A r3 section 5.6.2.3, RFC 7748 section 6.1)',
  },
  'agreement.key-used': {
    kind: 'conflict',
    rule: 'an ephemeral key agrees once (SP 800-56A r3 section 5.6.3.3)',
    remedy: 'make a new one for each agreement',
  },
  'agreement.not-approved': {
    kind: 'invalid',
    rule: 'in FIPS mode keys are agreed on the curves of SP 800-56A r3 appendix D only',
    remedy: 'use P-256, P-384 or P-521',
  },
  'kem.key-invalid': {
    kind: 'invalid',
    rule: 'an encapsulation key must have its length, coefficients below q and a valid point (FIPS 203 section 7.2)',
  },
  'kem.ciphertext-invalid': {
    kind: 'invalid',
    rule: 'a ciphertext must have its length and a valid point (FIPS 203 section 7.3)',
  },
  'kem.seed-malformed': { kind: 'invalid', rule: 'the seed of a private key must have its length' },
  'wrap.length': {
    kind: 'invalid',
    rule: 'AES-KW wraps 16, 24, 32 or more whole 8 bytes, AES-KWP at least one byte (SP 800-38F section 5.3.1)',
  },
  'wrap.damaged': {
    kind: 'invalid',
    rule: 'a wrapped key must be whole, unaltered and wrapped by this key in this way',
  },
} as const satisfies Record<string, ErrorEntry>;
