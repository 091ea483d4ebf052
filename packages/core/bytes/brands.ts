/**
 * Bytes have types: one kind of bytes is never passed as another. A branded value is made in one place,
 * where it was checked, and trusted from there on.
 */
export type Brand<T, Name extends string> = T & { readonly __brand: Name };

/** A certificate, DER (RFC 5280 section 4.1). */
export type DerCertificate = Brand<Uint8Array, 'DerCertificate'>;
/** A certification request, DER (RFC 2986). */
export type DerCsr = Brand<Uint8Array, 'DerCsr'>;
/** A SubjectPublicKeyInfo, DER (RFC 5280 section 4.1.2.7). */
export type DerSpki = Brand<Uint8Array, 'DerSpki'>;
/** A certificate revocation list, DER (RFC 5280 section 5). */
export type DerCrl = Brand<Uint8Array, 'DerCrl'>;

/** SHA-256 of a DER SubjectPublicKeyInfo, 64 lower-case hex digits. */
export type SpkiSha256 = Brand<string, 'SpkiSha256'>;
/** SHA-256 of a DER certificate, 64 lower-case hex digits. */
export type CertSha256 = Brand<string, 'CertSha256'>;
/** A certificate serial number, lower-case hex without leading zero octets, an even number of digits. */
export type Serial = Brand<string, 'Serial'>;
