/** Object identifiers of CMS, each with its source. */

/** RFC 5652 sections 4, 5.1, 6.1; RFC 5958 section 2; RFC 6031 section 2. */
export const CONTENT_TYPES = {
  data: '1.2.840.113549.1.7.1',
  signedData: '1.2.840.113549.1.7.2',
  envelopedData: '1.2.840.113549.1.7.3',
  asymmetricKeyPackage: '2.16.840.1.101.2.1.2.78.5',
  symmetricKeyPackage: '1.2.840.113549.1.9.16.1.25',
} as const;
export type ContentType = keyof typeof CONTENT_TYPES;

/** Signed attributes (RFC 5652 sections 11.1 and 11.2). */
export const CMS_ATTRIBUTES = {
  contentType: '1.2.840.113549.1.9.3',
  messageDigest: '1.2.840.113549.1.9.4',
  /** RFC 2634 section 2.9: what is inside, in words, and its type. */
  contentHint: '1.2.840.113549.1.9.16.2.4',
  /** RFC 5652 section 11.3. */
  signingTime: '1.2.840.113549.1.9.5',
  /** RFC 5035 section 3: which certificate is the signer's. */
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
} as const;

/** Unsigned attribute: a TimeStampToken over the signature (RFC 3161 appendix A). */
export const TIMESTAMP_TOKEN = '1.2.840.113549.1.9.16.2.14';

/** RFC 5754 section 2. SHA-1 and MD5 are left out on purpose. */
export const DIGESTS = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
} as const;
export type CmsDigest = keyof typeof DIGESTS;

/** RFC 3565 section 4.1 (content), RFC 3565 section 3 and RFC 3394 (wrap). DES and 3DES are left out on purpose. */
export const CONTENT_CIPHERS = { 16: '2.16.840.1.101.3.4.1.2', 32: '2.16.840.1.101.3.4.1.42' } as const;
export const AES256_WRAP = '2.16.840.1.101.3.4.1.45';

/** RFC 3370 section 4.2.1, RFC 4055 sections 2.2 and 4.1. */
export const KEY_TRANSPORT = {
  'pkcs1-v1_5': '1.2.840.113549.1.1.1',
  'oaep-sha256': '1.2.840.113549.1.1.7',
} as const;
export const MGF1 = '1.2.840.113549.1.1.8';

/** dhSinglePass-stdDH-sha256kdf-scheme and -sha384kdf-scheme (RFC 5753 section 7.1.4). */
export const ECDH_SCHEMES = { 'P-256': '1.3.132.1.11.1', 'P-384': '1.3.132.1.11.2' } as const;
