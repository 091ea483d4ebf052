import type { DerSpki } from '@keystead/core/bytes';
import type { GeneratedKeyAlgorithm, KeyAlgorithm, Signer } from '@keystead/core/crypto';

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
  /** Where the private half lives: `sealed-file`. */
  readonly custody: string;
  /** The cryptographic module that holds it and its FIPS 140-3 validation: `none`, or the module's name. */
  readonly fips140: string;
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
