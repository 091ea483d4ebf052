import { readSpki } from '../spki.ts';

/**
 * The modulus of an RSA key, unsigned, big-endian, without leading zeros; undefined for any other key.
 * @param spki SubjectPublicKeyInfo, DER, of a certificate that has been read.
 */
export const rsaModulus = (spki: Uint8Array): Uint8Array | undefined => readSpki(spki).rsa?.modulus;
