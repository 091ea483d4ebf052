import { encode } from 'cborg';
import type { DerSpki } from '../bytes/index.ts';
import { type KeyAlgorithm, SIGNATURE_OF } from './algorithms.ts';
import { ecdsaNumbers, ecdsaSigValue } from './ecdsa-sig-value.ts';
import { algorithmOfSpki } from './public-numbers.ts';
import { verifySignature } from './signature.ts';

/** The keys that sign COSE messages. */
export type CoseKeyAlgorithm = Extract<KeyAlgorithm, 'P-256' | 'P-384' | 'Ed25519' | 'ML-DSA-65' | 'ML-DSA-87'>;

/** IANA COSE Algorithms as the readers in devices know them: ES256, ES384, EdDSA (RFC 9053), ML-DSA (RFC 9964). */
export const COSE_ALGORITHM: Readonly<Record<CoseKeyAlgorithm, number>> = {
  'P-256': -7,
  'P-384': -35,
  Ed25519: -8,
  'ML-DSA-65': -49,
  'ML-DSA-87': -50,
};
/** The fully specified names of the first three (RFC 9864 section 2). */
const FULLY_SPECIFIED: Readonly<Partial<Record<CoseKeyAlgorithm, number>>> = {
  'P-256': -9,
  'P-384': -51,
  Ed25519: -19,
};
/** Octets of one number of an ECDSA signature (RFC 9053 section 2.1); 0 for other signatures, which have none. */
const NUMBER_OCTETS: Readonly<Partial<Record<KeyAlgorithm, number>>> = { 'P-256': 32, 'P-384': 48 };

export const isCoseKey = (algorithm: KeyAlgorithm): algorithm is CoseKeyAlgorithm => algorithm in COSE_ALGORITHM;

/** What a COSE_Sign1 signs (RFC 9052 section 4.4), with no external data. */
export const sign1Structure = (protectedHeader: Uint8Array, payload: Uint8Array): Uint8Array =>
  encode(['Signature1', protectedHeader, new Uint8Array(), payload]);

/** A signature of a {@link Signer} as COSE writes it. */
export function toCoseSignature(algorithm: KeyAlgorithm, signature: Uint8Array): Uint8Array {
  const octets = NUMBER_OCTETS[algorithm];
  return octets === undefined ? signature : ecdsaNumbers(signature, octets);
}

/** The way back, for verifying; undefined for one of another length. */
export function fromCoseSignature(algorithm: KeyAlgorithm, signature: Uint8Array): Uint8Array | undefined {
  const octets = NUMBER_OCTETS[algorithm];
  if (octets === undefined) return signature;
  if (signature.length !== 2 * octets) return undefined;
  return ecdsaSigValue(signature.subarray(0, octets), signature.subarray(octets));
}

/** Whether it is a COSE signature by the key under the number `alg`, of `signed`. Never an exception. */
export function verifyCoseSignature(alg: unknown, spki: DerSpki, signed: Uint8Array, signature: Uint8Array): boolean {
  try {
    const algorithm = algorithmOfSpki(spki);
    if (algorithm === undefined || !isCoseKey(algorithm)) return false;
    if (alg !== COSE_ALGORITHM[algorithm] && alg !== FULLY_SPECIFIED[algorithm]) return false;
    const value = fromCoseSignature(algorithm, signature);
    return value !== undefined && verifySignature(SIGNATURE_OF[algorithm], spki, signed, value);
  } catch {
    return false;
  }
}
