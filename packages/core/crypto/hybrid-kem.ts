import { createHash, type KeyObject } from 'node:crypto';
import { type DerSpki, sameBytes } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { EphemeralKey } from './agreement.ts';
import {
  agreementOctets,
  agreementSpki,
  importAgreementPublic,
  ORDER,
  privateKeyOfScalar,
  sharedSecret,
} from './agreement-key.ts';
import { spkiOf } from './key.ts';
import {
  type Encapsulation,
  type KemKey,
  MLKEM768,
  mlKemDecapsulate,
  mlKemEncapsulate,
  mlKemPublicKey,
} from './ml-kem.ts';
import { SecretBytes } from './secret.ts';

/**
 * The hybrids of draft-irtf-cfrg-concrete-hybrid-kems section 4, safe as long as one of the two halves is;
 * MLKEM768-X25519 is X-Wing (draft-connolly-cfrg-xwing-kem). docs/decisions/0011-hybrid-kems.md says why these.
 */
export type HybridKem = 'MLKEM768-X25519' | 'MLKEM768-P256';

interface HybridParameters {
  readonly group: 'X25519' | 'P-256';
  /** Length of the group's public octets. */
  readonly octets: number;
  /** Bytes of the seed that the group's scalar is made from: Nseed of section 3.1. */
  readonly scalarSeed: number;
  /** Domain separator, last in the combiner (sections 4.1 and 4.2). */
  readonly label: Uint8Array;
}

const KEMS: Readonly<Record<HybridKem, HybridParameters>> = {
  'MLKEM768-X25519': { group: 'X25519', octets: 32, scalarSeed: 32, label: Buffer.from('5c2e2f2f5e5c', 'hex') },
  'MLKEM768-P256': { group: 'P-256', octets: 65, scalarSeed: 128, label: Buffer.from('MLKEM768-P256', 'latin1') },
};

/** Bytes of the seed that is the private key of a hybrid. */
const SEED_BYTES = 32;
const SCALAR_BYTES = 32;

/**
 * A fresh pair, tried on one encapsulation before it is given out. The private key is a seed of 32 bytes; the public key
 * is the ML-KEM-768 key and the group's octets: 1216 bytes with X25519, 1249 with P-256. REQ-KEY-KAG-01.
 * @throws KeysteadError `rng.unhealthy`, `key.inconsistent`.
 */
export function generateHybridKey(kem: HybridKem): KemKey {
  const seed = SecretBytes.random(SEED_BYTES);
  const publicKey = hybridPublicKey(kem, seed);
  const { sharedSecret: secret, ciphertext } = hybridEncapsulate(kem, publicKey);
  using sent = secret;
  using received = hybridDecapsulate(kem, seed, ciphertext);
  if (!sent.use((a) => received.use((b) => sameBytes(a, b)))) {
    throw new KeysteadError('key.inconsistent', { field: 'new key', seen: kem });
  }
  return { seed, publicKey };
}

/** The public key of a seed. @throws KeysteadError `kem.seed-malformed` for other than 32 bytes. */
export function hybridPublicKey(kem: HybridKem, seed: SecretBytes): Uint8Array {
  const { mlKemSeed, groupKey } = expand(kem, seed);
  using halfSeed = mlKemSeed;
  const octets = agreementOctets(KEMS[kem].group, spkiOf(groupKey));
  return new Uint8Array(Buffer.concat([mlKemPublicKey(halfSeed), octets]));
}

/**
 * A secret of 32 bytes for the holder of `publicKey`, and the ciphertext that tells it: 1120 bytes with X25519, 1153 with
 * P-256. Both halves of the key are validated. The sender is not authenticated. REQ-KEY-KAG-01.
 * @throws KeysteadError `kem.key-invalid`, `rng.unhealthy`.
 */
export function hybridEncapsulate(kem: HybridKem, publicKey: Uint8Array): Encapsulation {
  const { group, octets } = KEMS[kem];
  if (publicKey.length !== MLKEM768.publicKey + octets) throw invalidKey(kem, `${publicKey.length} bytes`);
  const peerOctets = publicKey.subarray(MLKEM768.publicKey);
  const peer = inGroup(
    () => agreementSpki(group, peerOctets),
    () => invalidKey(kem, `no ${group} key`),
  );
  const mlKem = mlKemEncapsulate(publicKey.subarray(0, MLKEM768.publicKey));
  using mlKemSecret = mlKem.sharedSecret;
  using ephemeral = EphemeralKey.forHybrid(group);
  using z = inGroup(
    () => ephemeral.agree(peer),
    () => invalidKey(kem, `no ${group} key`),
  );
  const sent = agreementOctets(group, ephemeral.spki);
  return {
    sharedSecret: combine(kem, mlKemSecret, z, sent, peerOctets),
    ciphertext: new Uint8Array(Buffer.concat([mlKem.ciphertext, sent])),
  };
}

/**
 * The secret that `ciphertext` tells the holder of the seed. A ciphertext for another key gives another secret and no
 * error, as with ML-KEM; what cannot be a ciphertext at all is refused, here also X25519 points of small order, which the
 * drafts let pass and no honest sender makes.
 * @param seed 32 bytes; stays with the caller. @throws KeysteadError `kem.seed-malformed`, `kem.ciphertext-invalid`.
 */
export function hybridDecapsulate(kem: HybridKem, seed: SecretBytes, ciphertext: Uint8Array): SecretBytes {
  const { group, octets } = KEMS[kem];
  if (ciphertext.length !== MLKEM768.ciphertext + octets) throw invalidCiphertext(kem, `${ciphertext.length} bytes`);
  const { mlKemSeed, groupKey } = expand(kem, seed);
  using halfSeed = mlKemSeed;
  const sent = ciphertext.subarray(MLKEM768.ciphertext);
  using z = inGroup(
    () => sharedSecret(group, groupKey, importAgreementPublic(group, agreementSpki(group, sent))),
    () => invalidCiphertext(kem, `no ${group} key`),
  );
  using mlKemSecret = mlKemDecapsulate(halfSeed, ciphertext.subarray(0, MLKEM768.ciphertext));
  return combine(kem, mlKemSecret, z, sent, agreementOctets(group, spkiOf(groupKey)));
}

/**
 * SHA3-256(ss_PQ ‖ ss_T ‖ ct_T ‖ ek_T ‖ label): the C2PRI combiner of draft-irtf-cfrg-hybrid-kems, the same in X-Wing and in
 * draft-ietf-lamps-pq-composite-kem section 3.4. All parts have a fixed length. For this room and its tests.
 */
export function combine(
  kem: HybridKem,
  mlKemSecret: SecretBytes,
  z: SecretBytes,
  sent: Uint8Array,
  octets: Uint8Array,
): SecretBytes {
  const hash = createHash('sha3-256');
  mlKemSecret.use((bytes) => hash.update(bytes));
  z.use((bytes) => hash.update(bytes));
  const digest = hash.update(sent).update(octets).update(KEMS[kem].label).digest();
  return SecretBytes.take(new Uint8Array(digest.buffer, digest.byteOffset, digest.length));
}

/** Both private halves of a seed, by SHAKE256 (FIPS 202), in the order of the drafts: d ‖ z, then the scalar's seed. */
function expand(kem: HybridKem, seed: SecretBytes): { mlKemSeed: SecretBytes; groupKey: KeyObject } {
  if (seed.length !== SEED_BYTES) {
    throw new KeysteadError('kem.seed-malformed', { field: `${kem} seed`, seen: `${seed.length} bytes` });
  }
  const { group, scalarSeed } = KEMS[kem];
  const outputLength = MLKEM768.seed + scalarSeed;
  const expanded = seed.use((bytes) => createHash('shake256', { outputLength }).update(bytes).digest());
  try {
    const rest = expanded.subarray(MLKEM768.seed);
    const groupKey = privateKeyOfScalar(group, group === 'P-256' ? p256Scalar(rest) : rest);
    return { mlKemSeed: SecretBytes.copy(expanded.subarray(0, MLKEM768.seed)), groupKey };
  } finally {
    expanded.fill(0);
  }
}

/**
 * RandomScalar of section 3.1.1: the first 32 bytes that are a number of 1 to n-1. Of 2^32 seeds one needs the second, of
 * 2^128 one has none. A view of `candidates`, which the caller wipes. For this room and its tests.
 * @throws KeysteadError `kem.seed-malformed` when there is none.
 */
export function p256Scalar(candidates: Uint8Array): Uint8Array {
  for (let at = 0; at + SCALAR_BYTES <= candidates.length; at += SCALAR_BYTES) {
    const scalar = candidates.subarray(at, at + SCALAR_BYTES);
    if (Buffer.compare(scalar, ORDER['P-256']) < 0 && scalar.some((byte) => byte !== 0)) return scalar;
  }
  throw new KeysteadError('kem.seed-malformed', { field: 'MLKEM768-P256 seed', seen: 'no scalar in it' });
}

/** What a group refuses is told in the words of the KEM. */
function inGroup<T extends DerSpki | SecretBytes>(f: () => T, refusal: () => KeysteadError): T {
  try {
    return f();
  } catch (error) {
    if (error instanceof KeysteadError && error.code === 'agreement.key-invalid') throw refusal();
    throw error;
  }
}

function invalidKey(kem: HybridKem, seen: string): KeysteadError {
  return new KeysteadError('kem.key-invalid', { field: `${kem} key`, seen });
}

function invalidCiphertext(kem: HybridKem, seen: string): KeysteadError {
  return new KeysteadError('kem.ciphertext-invalid', { field: `${kem} ciphertext`, seen });
}
