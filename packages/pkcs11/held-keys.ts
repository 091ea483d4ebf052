import type { DerSpki } from '@keystead/core/bytes';
import type { ClassicalKeyAlgorithm, SecretBytes } from '@keystead/core/crypto';
import type { CounterReading } from './counter.ts';

interface OnToken {
  /** 1 to 64 letters, digits, dots, hyphens or underscores. */
  readonly id: string;
  /** What the key is for, in words that an auditor reads. */
  readonly purpose: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
  readonly custody: 'pkcs11';
  /** The validated module that the token is, as the configuration says. */
  readonly fips140: string;
  /** What the token says of the key, read back after it was made: attributes by the names of PKCS#11. */
  readonly evidence: Readonly<Record<string, string | number | boolean>>;
}

/** What is known about a key on a token without its private half. */
export interface TokenKeyInfo extends OnToken {
  readonly algorithm: ClassicalKeyAlgorithm;
  readonly spki: DerSpki;
}

/** What is known about a key that wraps; it has no public half. */
export interface TokenWrappingKeyInfo extends OnToken {
  readonly algorithm: 'AES-256';
}

/** What is known about a master from which keys are derived. */
export interface TokenDerivingKeyInfo extends OnToken {
  readonly algorithm: 'HMAC-SHA256';
}

/** A key on a token that agrees on secrets (SP 800-56A r3). The caller wipes what {@link agree} gives. */
export interface TokenAgreement {
  readonly keyAlgorithm: 'P-256' | 'P-384';
  readonly spki: DerSpki;
  agree(peer: DerSpki): Promise<SecretBytes>;
}

/** A key on a token that wraps (SP 800-38F section 6.2); what is given stays with the caller, what is returned is the caller's to wipe. */
export interface TokenWrapper {
  readonly algorithm: 'AES-256';
  /** @param key 16, 24, … 64 bytes. @throws KeysteadError `wrap.length`, `keystore.*`. */
  wrap(key: SecretBytes): Promise<Uint8Array>;
  /** @throws KeysteadError `wrap.damaged`, `keystore.*`. */
  unwrap(wrapped: Uint8Array): Promise<SecretBytes>;
}

/** A master on a token (SP 800-108r1, counter mode, HMAC-SHA-256). */
export interface TokenDeriver {
  derive(label: Uint8Array, context: Uint8Array, length: number): Promise<SecretBytes>;
}

/** A counter of data objects: it goes up for whoever has not the PIN and the token's own memory. */
export interface TokenCounter {
  readonly make: 'pkcs11';
  /** Which one it is, for people. */
  readonly name: string;
  /** @throws KeysteadError `counter.missing`, `keystore.*`. */
  read(): Promise<CounterReading>;
  /** From `from` to `from + 1`. @throws KeysteadError `counter.moved`, `counter.missing`, `keystore.*`. */
  raise(from: number, mark: string): Promise<void>;
  /** @throws KeysteadError `counter.exists`, `keystore.*`. */
  create(): Promise<void>;
  /** Destroys it; resolves when the token shows none of its objects any more. One that is not there is no error. */
  remove(): Promise<void>;
  close(): Promise<void>;
}

/** A key as the token shows it at this moment, by the record that lies beside it. */
export interface SeenKey {
  readonly id: string;
  /** Private or secret keys, and public keys, that have the CKA_ID of the record. */
  readonly keys: number;
  readonly publicKeys: number;
}
