import { sha256 } from '../crypto/index.ts';

/**
 * The SubjectKeyIdentifier of a key: the leftmost 160 bits of the SHA-256 of the BIT STRING's content (RFC 7093
 * section 2 method 1). It takes the place of method 1 of RFC 5280 section 4.2.1.2, which is SHA-1: a machine in FIPS
 * mode may not have it, and whoever looks for SHA-1 in the code finds it only where OCSP's wire format asks for it.
 */
export const keyIdentifier = (keyBits: Uint8Array): Uint8Array => sha256(keyBits).subarray(0, 20);
