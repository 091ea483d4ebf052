import { constants, createSign, createVerify, type KeyObject, sign, verify } from 'node:crypto';
import { promisify } from 'node:util';
import type { DerSpki } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import {
  DIGEST_OF,
  isPss,
  KEYS_FOR,
  type KeyAlgorithm,
  type PssScheme,
  pssSaltOctets,
  SIGNATURE_OF,
  type SignatureAlgorithm,
  type SignatureScheme,
} from './algorithms.ts';
import { algorithmOf, importPrivateKey, importPublicKey, spkiOf } from './key.ts';
import { requireHealthyRandom } from './random.ts';
import type { SecretBytes } from './secret.ts';

/** One private key that signs and is not seen. A keystore gives these out; so would an HSM. */
export interface Signer {
  readonly keyAlgorithm: KeyAlgorithm;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly spki: DerSpki;
  /**
   * Signs `data` as it is (the hash belongs to the signature algorithm). ECDSA: DER Ecdsa-Sig-Value (RFC 3279
   * section 2.2.3); Ed25519: 64 bytes (RFC 8032); ML-DSA and SLH-DSA: the pure variants with an empty context (FIPS 204
   * section 5.2, FIPS 205 section 10.2), hedged; RSA: PKCS#1 v1.5 (RFC 8017 section 8.2).
   * @throws KeysteadError `rng.unhealthy`, and what the keystore behind it throws.
   */
  sign(data: Uint8Array): Promise<Uint8Array>;
  /**
   * As {@link sign}, by another scheme of the key's family: another hash, or RSASSA-PSS. A key has one scheme for all of
   * its life (FIPS 186-5 section 5.1): who asks holds to that. Absent where the key is kept by something that cannot.
   * @throws KeysteadError `key.algorithm-mismatch` for a scheme of another family, and as {@link sign}.
   */
  signBy?(scheme: SignatureScheme, data: Uint8Array): Promise<Uint8Array>;
  /**
   * As {@link sign}, of data that is told in pieces and never stands in memory as a whole. Absent where the key cannot
   * do that; {@link signPieces} then gathers the pieces.
   */
  signPieces?(pieces: Pieces): Promise<Uint8Array>;
}

/** Data in pieces, each of which is good until the next is asked for. */
export type Pieces = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** These take less time than handing the work to another thread does (18 µs and 30 µs). */
const QUICK: readonly KeyAlgorithm[] = ['P-256', 'Ed25519'];

type KeyInput = KeyObject | ReturnType<typeof pssOf>;
const signInPool = promisify(
  (digest: string | null, data: Uint8Array, key: KeyInput, done: (error: Error | null, signature: Buffer) => void) =>
    sign(digest, data, key, done),
);

/** When it verifies too, the salt must be of that length: node:crypto's default takes any. */
const pssOf = (key: KeyObject, scheme: PssScheme) => ({
  key,
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: pssSaltOctets(scheme, (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8),
});
/** A key as OpenSSL is to use it. */
const inputOf = (key: KeyObject, scheme: SignatureScheme): KeyInput => (isPss(scheme) ? pssOf(key, scheme) : key);

/** @throws KeysteadError `key.algorithm-mismatch`. */
export function requireScheme(algorithm: KeyAlgorithm, scheme: SignatureScheme): void {
  if (KEYS_FOR[scheme].includes(algorithm)) return;
  throw new KeysteadError('key.algorithm-mismatch', { field: 'signature', seen: `${scheme} by a key of ${algorithm}` });
}

/**
 * A signer over a software key. The key is copied into OpenSSL's memory; `pkcs8` stays with the caller, who may
 * wipe it at once.
 * @param pkcs8 PrivateKeyInfo, DER (RFC 5208).
 * @throws KeysteadError `key.malformed`, `key.algorithm-mismatch`.
 */
export function softwareSigner(algorithm: KeyAlgorithm, pkcs8: SecretBytes): Signer {
  return signerOf(algorithm, importPrivateKey(algorithm, pkcs8));
}

/** For this room only: a KeyObject does not leave it. @param spki its public half, where that is known. */
export function signerOf(algorithm: KeyAlgorithm, key: KeyObject, spki = spkiOf(key)): Signer {
  const signatureAlgorithm = SIGNATURE_OF[algorithm];
  const digest = DIGEST_OF[signatureAlgorithm];
  return {
    keyAlgorithm: algorithm,
    signatureAlgorithm,
    spki,
    async sign(data) {
      // An ECDSA nonce from a bad generator gives the key away.
      requireHealthyRandom();
      const signature = QUICK.includes(algorithm) ? sign(digest, data, key) : await signInPool(digest, data, key);
      return new Uint8Array(signature.buffer, signature.byteOffset, signature.length);
    },
    async signBy(scheme, data) {
      requireScheme(algorithm, scheme);
      requireHealthyRandom();
      return new Uint8Array(await signInPool(DIGEST_OF[scheme], data, inputOf(key, scheme)));
    },
    // Ed25519 goes over the message twice (RFC 8032 section 5.1.6).
    ...(digest !== null && {
      async signPieces(pieces: Pieces) {
        requireHealthyRandom();
        const signing = createSign(digest);
        for await (const piece of pieces) signing.update(piece);
        return new Uint8Array(signing.sign(key));
      },
    }),
  };
}

/**
 * As `signer.signBy`, or as `signer.sign` where the scheme is what the key signs by anyhow.
 * @throws KeysteadError `keystore.mechanism-unsupported` where the key is kept by something that cannot, and as they do.
 */
export async function signBy(signer: Signer, scheme: SignatureScheme, data: Uint8Array): Promise<Uint8Array> {
  if (scheme === signer.signatureAlgorithm) return signer.sign(data);
  requireScheme(signer.keyAlgorithm, scheme);
  if (signer.signBy !== undefined) return signer.signBy(scheme, data);
  throw new KeysteadError('keystore.mechanism-unsupported', { field: 'signature', seen: scheme });
}

/** As `signer.sign` of all the pieces together. @throws as `signer.sign`. */
export async function signPieces(signer: Signer, pieces: Pieces): Promise<Uint8Array> {
  return signer.signPieces === undefined ? signer.sign(await gathered(pieces)) : signer.signPieces(pieces);
}

/**
 * Lets pieces through and looks at them: `holds` says, once they are all through, whether `signature` is one of them
 * together by the key. Never an exception, as {@link verifySignature}.
 */
export function verifiedPieces(
  algorithm: SignatureAlgorithm,
  spki: DerSpki,
  signature: Uint8Array,
): { through(pieces: Pieces): AsyncGenerator<Uint8Array>; holds(): boolean } {
  const digest = DIGEST_OF[algorithm];
  const verifying = digest === null ? undefined : createVerify(digest);
  const whole: Uint8Array[] = [];
  return {
    async *through(pieces) {
      for await (const piece of pieces) {
        if (verifying === undefined) whole.push(Uint8Array.from(piece));
        else verifying.update(piece);
        yield piece;
      }
    },
    holds() {
      if (verifying === undefined) return verifySignature(algorithm, spki, Buffer.concat(whole), signature);
      try {
        const key = importPublicKey(spki);
        const keyAlgorithm = algorithmOf(key);
        return (
          keyAlgorithm !== undefined && KEYS_FOR[algorithm].includes(keyAlgorithm) && verifying.verify(key, signature)
        );
      } catch {
        return false;
      }
    },
  };
}

async function gathered(pieces: Pieces): Promise<Uint8Array> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(Uint8Array.from(piece));
  return Buffer.concat(all);
}

/**
 * Whether `signature` is one of `data` by the key. False, never an exception, for a key that does not parse, that is
 * off its curve, or that is of another family than the algorithm: what comes from outside is a verdict, not a fault.
 * @param spki SubjectPublicKeyInfo, DER.
 * @param signature as `Signer.sign` gives it.
 */
export function verifySignature(
  algorithm: SignatureScheme,
  spki: DerSpki,
  data: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    const key = importPublicKey(spki);
    const keyAlgorithm = algorithmOf(key);
    if (keyAlgorithm === undefined || !KEYS_FOR[algorithm].includes(keyAlgorithm)) return false;
    return verify(DIGEST_OF[algorithm], data, inputOf(key, algorithm), signature);
  } catch {
    return false;
  }
}
