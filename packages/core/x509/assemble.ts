import type { SignatureAlgorithm } from '../crypto/index.ts';
import { signatureAlgorithmDer } from './algorithms.ts';
import { bitString, sequence } from './der/writer.ts';

/**
 * The outer form that certificates, CRLs and requests share (RFC 5280 section 4.1, RFC 2986 section 4): the signed
 * part, the algorithm and the signature. `signature` is as a Signer gives it: for ECDSA a DER Ecdsa-Sig-Value.
 */
export function assembleSigned(tbs: Uint8Array, algorithm: SignatureAlgorithm, signature: Uint8Array): Uint8Array {
  return sequence(tbs, signatureAlgorithmDer(algorithm), bitString(signature));
}
