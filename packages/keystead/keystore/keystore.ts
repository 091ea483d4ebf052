import type { DerSpki } from '@keystead/core/bytes';
import type { GeneratedKeyAlgorithm, KeyAlgorithm, SecretBytes, Signer } from '@keystead/core/crypto';

/** The kinds of place where a private key can live. */
export const CUSTODIES = ['sealed-file', 'pkcs11', 'tpm2'] as const;
export type Custody = (typeof CUSTODIES)[number];

/** What is known about a key without its private half. */
export interface KeyInfo {
  /** 1 to 64 letters, digits, dots, hyphens or underscores. */
  readonly id: string;
  readonly algorithm: KeyAlgorithm;
  /** What the key is for, in words that an auditor reads. */
  readonly purpose: string;
  readonly spki: DerSpki;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  /** Where the private half lives. */
  readonly custody: Custody;
  /** The cryptographic module that holds it and its FIPS 140-3 validation: `none`, or the module's name. */
  readonly fips140: string;
  /** What the module itself says of the key, read back after it was made: attributes by the module's own names. */
  readonly evidence?: Readonly<Record<string, string | number | boolean>>;
}

/**
 * Private keys that sign and are not seen. Every make of keystore keeps this contract: a key is made inside and never
 * leaves; there is no call that exports one.
 */
export interface Keystore {
  /** All keys, in the order in which they were made. */
  list(): KeyInfo[];
  /**
   * Makes a key. When the promise resolves, the key is durable.
   * @throws KeysteadError `keystore.key-exists`, `keystore.key-malformed`, `keystore.closed`, `keystore.changed`,
   *   `rng.unhealthy`.
   */
  generate(id: string, algorithm: GeneratedKeyAlgorithm, purpose: string): Promise<KeyInfo>;
  /** Whether its kind has keys of the algorithm; the one device may still have not. Absent where it has all. */
  makes?(algorithm: GeneratedKeyAlgorithm): boolean;
  /**
   * A signer that works until the key is destroyed or the keystore closed.
   * @throws KeysteadError `keystore.key-missing`, `keystore.closed`.
   */
  signer(id: string): Signer;
  /**
   * Destroys a key for ever. When the promise resolves, the key is in no file of this keystore.
   * @throws KeysteadError `keystore.key-missing`, `keystore.closed`, `keystore.changed`.
   */
  destroy(id: string): Promise<void>;
  /** Wipes what can be wiped; every signer given out refuses from here on. May be called again. */
  close(): void;
}

/** A private key that agrees on secrets and does nothing else (SP 800-56A r3, one pass: C(1e, 1s, ECC CDH)). */
export interface KeyAgreement {
  readonly keyAlgorithm: 'P-256' | 'P-384';
  readonly spki: DerSpki;
  /**
   * The shared secret Z: the x-coordinate, as long as the field. It goes into a key derivation (SP 800-56C) and nowhere else.
   * @param peer a public key on the same curve, validated here in full (SP 800-56A section 5.6.2.3.3).
   * @throws KeysteadError for a peer that is no key on this curve `key.weak`, `key.algorithm-mismatch`, or
   *   `agreement.key-invalid` where the key is in software; `keystore.key-missing`, `keystore.closed`.
   */
  agree(peer: DerSpki): Promise<SecretBytes>;
}

/** A keystore whose keys can also agree on secrets: tokens and TPMs, for what is encrypted to them. */
export interface AgreementKeystore extends Keystore {
  /** As {@link Keystore.generate}, for a key that agrees and does not sign. */
  generateAgreement(id: string, algorithm: 'P-256' | 'P-384', purpose: string): Promise<KeyInfo>;
  /** @throws KeysteadError `keystore.key-missing`, `keystore.closed`. */
  agreement(id: string): KeyAgreement;
}

/** A keystore with another one beside it, for keys that it cannot have itself. */
export interface CompanionKeystore extends AgreementKeystore {
  readonly companion: Keystore;
}

/** A symmetric key that wraps other keys for their way from one place to another, and does nothing else. */
export interface KeyWrapper {
  readonly algorithm: 'AES-256';
  /**
   * AES key wrap (SP 800-38F section 6.2, RFC 3394) of a transport key. A key of the keystore itself cannot be given:
   * there is no way to name one here. REQ-KEY-BAK-01
   * @param key 16, 24, … 64 bytes; stays with the caller.
   * @throws KeysteadError `wrap.length`, `keystore.key-missing`, `keystore.closed`.
   */
  wrap(key: SecretBytes): Promise<Uint8Array>;
  /** The key inside. @throws KeysteadError `wrap.damaged`, `keystore.key-missing`, `keystore.closed`. */
  unwrap(wrapped: Uint8Array): Promise<SecretBytes>;
}

/** What is known about a wrapping key; it has no public half. */
export type WrappingKeyInfo = Omit<KeyInfo, 'algorithm' | 'spki'> & { readonly algorithm: 'AES-256' };

/** A keystore with keys that wrap transport keys. {@link Keystore.destroy} destroys these, too. */
export interface WrappingKeystore extends Keystore {
  /** All wrapping keys, in the order in which they were made. */
  wrappingKeys(): WrappingKeyInfo[];
  /** As {@link Keystore.generate}, for an AES-256 key that wraps. */
  generateWrapping(id: string, purpose: string): Promise<WrappingKeyInfo>;
  /** @throws KeysteadError `keystore.key-missing`, `keystore.closed`. */
  wrapper(id: string): KeyWrapper;
}

/** A symmetric master key that derives keys for others, and does nothing else (SP 800-108r1, counter mode, HMAC-SHA-256). */
export interface KeyDeriver {
  /**
   * The derived key, as `kbkdf('sha256', master, label, context, length)` gives it; the caller wipes it. The master stays
   * where it is. @param length 1 to 32 bytes.
   * @throws KeysteadError `kdf.label-malformed`, `kdf.length`, `keystore.key-missing`, `keystore.closed`.
   */
  derive(label: Uint8Array, context: Uint8Array, length: number): Promise<SecretBytes>;
}

/** What is known about a master key; it has no public half. */
export type DerivingKeyInfo = Omit<KeyInfo, 'algorithm' | 'spki'> & { readonly algorithm: 'HMAC-SHA256' };

/** A keystore with master keys from which others are derived. {@link Keystore.destroy} destroys these, too. */
export interface DerivingKeystore extends Keystore {
  /** All master keys, in the order in which they were made. */
  derivingKeys(): DerivingKeyInfo[];
  /** As {@link Keystore.generate}, for a master of 32 bytes. */
  generateDeriving(id: string, purpose: string): Promise<DerivingKeyInfo>;
  /** @throws KeysteadError `keystore.key-missing`, `keystore.closed`. */
  deriver(id: string): KeyDeriver;
}
