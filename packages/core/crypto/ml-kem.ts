import { createPrivateKey, createPublicKey, decapsulate, encapsulate, type KeyObject } from 'node:crypto';
import { sameBytes } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { importPublicKey, spkiOf } from './key.ts';
import { randomBytes, sampleRandomHealth } from './random.ts';
import { SecretBytes } from './secret.ts';

/** What a KEM gives its sender: a secret of 32 bytes, and what tells the key's holder of it. */
export interface Encapsulation {
  readonly sharedSecret: SecretBytes;
  readonly ciphertext: Uint8Array;
}

/** A key pair of a KEM. The seed is the private key: everything else follows from it. */
export interface KemKey {
  readonly seed: SecretBytes;
  readonly publicKey: Uint8Array;
}

/** ML-KEM-768 (FIPS 203 table 3): bytes of an encapsulation key, a ciphertext, and of the seed d ‖ z. */
export const MLKEM768 = { publicKey: 1184, ciphertext: 1088, seed: 64 } as const;

/** What stands before the encapsulation key, and before d ‖ z, in DER (RFC 9935). */
const SPKI_PREFIX = Buffer.from('308204b2300b0609608648016503040402038204a100', 'hex');
const SEED_PREFIX = Buffer.from('3054020100300b060960864801650304040204428040', 'hex');

/**
 * A pair by ML-KEM.KeyGen (FIPS 203 section 7.1), tried on one encapsulation before it is given out (FIPS 140-3 IG 10.3.A).
 * @throws KeysteadError `rng.unhealthy`, `key.inconsistent`.
 */
export function generateMlKemKey(): KemKey {
  const seed = SecretBytes.take(randomBytes(MLKEM768.seed));
  const publicKey = mlKemPublicKey(seed);
  const { sharedSecret, ciphertext } = mlKemEncapsulate(publicKey);
  using sent = sharedSecret;
  using received = mlKemDecapsulate(seed, ciphertext);
  if (!sent.use((a) => received.use((b) => sameBytes(a, b)))) {
    throw new KeysteadError('key.inconsistent', { field: 'new key', seen: 'ML-KEM-768' });
  }
  return { seed, publicKey };
}

/** The encapsulation key of a seed, 1184 bytes. @throws KeysteadError `kem.seed-malformed`. */
export function mlKemPublicKey(seed: SecretBytes): Uint8Array {
  return spkiOf(createPublicKey(privateKeyOf(seed))).slice(SPKI_PREFIX.length);
}

/**
 * ML-KEM-768.Encaps (FIPS 203 section 7.2), with its two checks of the key: the length, and that every coefficient is below
 * q, which OpenSSL sees to.
 * @param publicKey 1184 bytes. @throws KeysteadError `kem.key-invalid`, `rng.unhealthy`.
 */
export function mlKemEncapsulate(publicKey: Uint8Array): Encapsulation {
  const key = publicKeyOf(publicKey);
  sampleRandomHealth();
  const { sharedKey, ciphertext } = encapsulate(key);
  return {
    sharedSecret: SecretBytes.take(new Uint8Array(sharedKey.buffer, sharedKey.byteOffset, sharedKey.length)),
    ciphertext: new Uint8Array(ciphertext.buffer, ciphertext.byteOffset, ciphertext.length),
  };
}

/**
 * ML-KEM-768.Decaps (FIPS 203 section 7.3). A ciphertext of the right length never fails: one that was not made for this
 * key gives a secret that nobody knows (implicit rejection). The checks of the decapsulation key have nothing to find,
 * since it is made from the seed each time.
 * @throws KeysteadError `kem.seed-malformed`, `kem.ciphertext-invalid` for other than 1088 bytes.
 */
export function mlKemDecapsulate(seed: SecretBytes, ciphertext: Uint8Array): SecretBytes {
  if (ciphertext.length !== MLKEM768.ciphertext) {
    throw new KeysteadError('kem.ciphertext-invalid', { field: 'ciphertext', seen: `${ciphertext.length} bytes` });
  }
  const secret = decapsulate(privateKeyOf(seed), ciphertext);
  return SecretBytes.take(new Uint8Array(secret.buffer, secret.byteOffset, secret.length));
}

function publicKeyOf(octets: Uint8Array): KeyObject {
  try {
    if (octets.length === MLKEM768.publicKey) return importPublicKey(Buffer.concat([SPKI_PREFIX, octets]));
  } catch {
    // Told below, as for a key of another length.
  }
  throw new KeysteadError('kem.key-invalid', { field: 'ML-KEM-768 key', seen: `${octets.length} bytes` });
}

function privateKeyOf(seed: SecretBytes): KeyObject {
  if (seed.length !== MLKEM768.seed) {
    throw new KeysteadError('kem.seed-malformed', { field: 'ML-KEM-768 seed', seen: `${seed.length} bytes` });
  }
  const der = seed.use((bytes) => Buffer.concat([SEED_PREFIX, bytes]));
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}
