/** Object identifiers of CMP and CRMF by the names that Keystead uses for them. */

/** MACs by a shared secret (RFC 9481 sections 6.1.1 and 6.1.2), and PBKDF2 (RFC 8018 appendix A.2). */
export const MAC_OIDS = {
  passwordBasedMac: '1.2.840.113533.7.66.13',
  pbmac1: '1.2.840.113549.1.5.14',
  pbkdf2: '1.2.840.113549.1.5.12',
} as const;

/**
 * HMACs (RFC 8018 appendix B.1.2), each by its hash. The second of SHA-1 is that of IPsec, which RFC 4210 names and
 * OpenSSL sends.
 */
export const HMAC_OIDS = {
  '1.2.840.113549.2.7': 'sha1',
  '1.3.6.1.5.5.8.1.2': 'sha1',
  '1.2.840.113549.2.9': 'sha256',
  '1.2.840.113549.2.10': 'sha384',
  '1.2.840.113549.2.11': 'sha512',
} as const;

/** Hashes (RFC 5754 section 2, RFC 3370 section 2.1). */
export const HASH_OIDS = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
} as const;

/** Information types of headers and of general messages (RFC 9810 section 5.3.19, RFC 9483 section 4.3). */
export const INFO_TYPES = {
  implicitConfirm: '1.3.6.1.5.5.7.4.13',
  confirmWaitTime: '1.3.6.1.5.5.7.4.14',
  caCerts: '1.3.6.1.5.5.7.4.17',
  rootCaKeyUpdate: '1.3.6.1.5.5.7.4.18',
  certReqTemplate: '1.3.6.1.5.5.7.4.19',
  rootCaCert: '1.3.6.1.5.5.7.4.20',
  certProfile: '1.3.6.1.5.5.7.4.21',
  crlStatusList: '1.3.6.1.5.5.7.4.22',
  crls: '1.3.6.1.5.5.7.4.23',
} as const;

/** Controls of a certificate request (RFC 4211 section 6, RFC 9810 section 5.3.19.16). */
export const CONTROLS = {
  regToken: '1.3.6.1.5.5.7.5.1.1',
  authenticator: '1.3.6.1.5.5.7.5.1.2',
  pkiPublicationInfo: '1.3.6.1.5.5.7.5.1.3',
  pkiArchiveOptions: '1.3.6.1.5.5.7.5.1.4',
  oldCertId: '1.3.6.1.5.5.7.5.1.5',
  protocolEncrKey: '1.3.6.1.5.5.7.5.1.6',
  algId: '1.3.6.1.5.5.7.5.1.11',
  rsaKeyLen: '1.3.6.1.5.5.7.5.1.12',
} as const;
