import { argon2, getFips, pbkdf2 } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { randomBytes } from './random.ts';
import { SecretBytes } from './secret.ts';

/** How a key is made from a passphrase; kept beside what the key seals. Nothing in it is secret. */
export type PasswordKdf =
  | {
      /** SP 800-132 with PBKDF2 (RFC 8018 section 5.2). */
      readonly kdf: 'pbkdf2-hmac-sha256' | 'pbkdf2-hmac-sha512';
      readonly salt: Uint8Array;
      readonly iterations: number;
    }
  | {
      /** RFC 9106. */
      readonly kdf: 'argon2id';
      readonly salt: Uint8Array;
      /** KiB. */
      readonly memory: number;
      readonly passes: number;
      readonly parallelism: number;
    };

/** SP 800-132 section 5.1: the random part of the salt has at least 128 bits. */
const SALT_FLOOR = 16;
const SALT_CEILING = 1024;
/** SP 800-132 section 5.2 says 1,000 at the very least and as many as users bear; these are OWASP's (2023). */
const ITERATIONS_FLOOR = { 'pbkdf2-hmac-sha256': 600_000, 'pbkdf2-hmac-sha512': 210_000 } as const;
/** RFC 9106 section 4, the second recommended option: 64 MiB, 3 passes. */
const MEMORY_FLOOR = 65_536;
const PASSES_FLOOR = 3;
/** SP 800-132 section 5.3: the master key has at least 112 bits. */
const KEY_FLOOR = 14;
/**
 * Parameters come from files that somebody else may have written. Above these an opened file would be a way to take
 * this machine's memory or to hold it for minutes.
 */
const ITERATIONS_CEILING = 50_000_000;
const MEMORY_CEILING = 2 ** 20;
const PASSES_CEILING = 32;
const PARALLELISM_CEILING = 16;

/** Whether OpenSSL runs with its FIPS provider, so that only approved functions may be used. */
export function fipsMode(): boolean {
  return getFips() === 1;
}

/**
 * How a new passphrase is stretched, with a fresh salt of 256 bits: Argon2id, whose memory makes guessing dear, or
 * PBKDF2 where only approved functions may be used. REQ-KEY-KDF-02. @throws KeysteadError `rng.unhealthy`.
 */
export function defaultPasswordKdf(fips: boolean): PasswordKdf {
  const salt = randomBytes(32);
  if (fips) return { kdf: 'pbkdf2-hmac-sha256', salt, iterations: ITERATIONS_FLOOR['pbkdf2-hmac-sha256'] };
  return { kdf: 'argon2id', salt, memory: MEMORY_FLOOR, passes: PASSES_FLOOR, parallelism: 4 };
}

/**
 * A key of `length` bytes from a passphrase; takes a few tenths of a second in another thread. REQ-KEY-KDF-02.
 * @param passphrase stays with the caller and must not be wiped before the promise settles.
 * @throws KeysteadError `kdf.salt-too-short`, `kdf.iterations-too-low`, `kdf.memory-too-low`, `kdf.key-too-short`,
 *   `kdf.passphrase-empty`, `kdf.cost-too-high`, `kdf.not-approved`.
 */
export async function passwordKey(params: PasswordKdf, passphrase: SecretBytes, length: number): Promise<SecretBytes> {
  requireSalt(params.salt);
  if (params.kdf === 'argon2id') requireArgon2Cost(params);
  else requireIterations(params.kdf, params.iterations);
  if (!Number.isInteger(length) || length < KEY_FLOOR || length > 1024) {
    throw new KeysteadError('kdf.key-too-short', { field: 'length', seen: `${length} bytes` });
  }
  if (passphrase.length === 0) throw new KeysteadError('kdf.passphrase-empty', { field: 'passphrase' });
  const key = await passphrase.use((bytes) => stretch(params, bytes, length));
  return SecretBytes.take(new Uint8Array(key.buffer, key.byteOffset, key.length));
}

/** For this room's tests: the derivation without the floors, which published vectors are below. */
export function stretch(params: PasswordKdf, passphrase: Uint8Array, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, key: Buffer): void => (error === null ? resolve(key) : reject(error));
    if (params.kdf === 'argon2id') {
      const { salt: nonce, memory, passes, parallelism } = params;
      argon2('argon2id', { message: passphrase, nonce, memory, passes, parallelism, tagLength: length }, done);
    } else {
      const digest = params.kdf === 'pbkdf2-hmac-sha256' ? 'sha256' : 'sha512';
      pbkdf2(passphrase, params.salt, params.iterations, length, digest, done);
    }
  });
}

function requireSalt(salt: Uint8Array): void {
  if (salt.length < SALT_FLOOR) {
    throw new KeysteadError('kdf.salt-too-short', { field: 'salt', seen: `${salt.length} bytes` });
  }
  requireAtMost('salt', salt.length, SALT_CEILING);
}

function requireIterations(kdf: keyof typeof ITERATIONS_FLOOR, iterations: number): void {
  if (!Number.isInteger(iterations) || iterations < ITERATIONS_FLOOR[kdf]) {
    throw new KeysteadError('kdf.iterations-too-low', { field: 'iterations', seen: String(iterations) });
  }
  requireAtMost('iterations', iterations, ITERATIONS_CEILING);
}

function requireArgon2Cost(cost: { memory: number; passes: number; parallelism: number }): void {
  if (fipsMode()) throw new KeysteadError('kdf.not-approved', { field: 'kdf', seen: 'argon2id' });
  if (!Number.isInteger(cost.memory) || cost.memory < MEMORY_FLOOR) {
    throw new KeysteadError('kdf.memory-too-low', { field: 'memory', seen: `${cost.memory} KiB` });
  }
  if (!Number.isInteger(cost.passes) || cost.passes < PASSES_FLOOR) {
    throw new KeysteadError('kdf.iterations-too-low', { field: 'passes', seen: String(cost.passes) });
  }
  if (!Number.isInteger(cost.parallelism) || cost.parallelism < 1) {
    throw new KeysteadError('kdf.cost-too-high', { field: 'parallelism', seen: String(cost.parallelism) });
  }
  requireAtMost('memory', cost.memory, MEMORY_CEILING);
  requireAtMost('passes', cost.passes, PASSES_CEILING);
  requireAtMost('parallelism', cost.parallelism, PARALLELISM_CEILING);
}

function requireAtMost(field: string, value: number, ceiling: number): void {
  if (value > ceiling) throw new KeysteadError('kdf.cost-too-high', { field, seen: `${value}, at most ${ceiling}` });
}
