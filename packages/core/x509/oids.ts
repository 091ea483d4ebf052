/** Object identifiers by the names that Keystead uses for them, each with its source. */

/** Attribute types of names (RFC 5280 appendix A.1; RFC 4519; emailAddress from RFC 2985). */
export const ATTRIBUTE_TYPES = {
  CN: '2.5.4.3',
  serialNumber: '2.5.4.5',
  C: '2.5.4.6',
  L: '2.5.4.7',
  ST: '2.5.4.8',
  O: '2.5.4.10',
  OU: '2.5.4.11',
  DC: '0.9.2342.19200300.100.1.25',
  UID: '0.9.2342.19200300.100.1.1',
  emailAddress: '1.2.840.113549.1.9.1',
} as const;
export type AttributeName = keyof typeof ATTRIBUTE_TYPES;

/** Key usages in the order of their bits (RFC 5280 section 4.2.1.3). */
export const KEY_USAGES = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
] as const;
export type KeyUsageName = (typeof KEY_USAGES)[number];

/** Extended key usages (RFC 5280 section 4.2.1.12; RFC 7030 section 3.6.1 for cmcRA). */
export const EXTENDED_KEY_USAGES = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  codeSigning: '1.3.6.1.5.5.7.3.3',
  emailProtection: '1.3.6.1.5.5.7.3.4',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  OCSPSigning: '1.3.6.1.5.5.7.3.9',
  cmcRA: '1.3.6.1.5.5.7.3.28',
} as const;
export type ExtendedKeyUsageName = keyof typeof EXTENDED_KEY_USAGES;

/** Certificate and CRL extensions (RFC 5280 sections 4.2 and 5.2; RFC 6960; RFC 7633). */
export const EXTENSIONS = {
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  issuerAltName: '2.5.29.18',
  basicConstraints: '2.5.29.19',
  cRLNumber: '2.5.29.20',
  reasonCode: '2.5.29.21',
  invalidityDate: '2.5.29.24',
  deltaCRLIndicator: '2.5.29.27',
  issuingDistributionPoint: '2.5.29.28',
  certificateIssuer: '2.5.29.29',
  nameConstraints: '2.5.29.30',
  cRLDistributionPoints: '2.5.29.31',
  certificatePolicies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  authorityKeyIdentifier: '2.5.29.35',
  policyConstraints: '2.5.29.36',
  extKeyUsage: '2.5.29.37',
  freshestCRL: '2.5.29.46',
  inhibitAnyPolicy: '2.5.29.54',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  tlsFeature: '1.3.6.1.5.5.7.1.24',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
  /**
   * Stands in every certificate of a rehearsed ceremony, critical, so that no verifier takes one (RFC 5280 section 4.2).
   * The arc is the enterprise number for examples (RFC 5612): nobody will ever give it a meaning.
   */
  rehearsal: '1.3.6.1.4.1.32473.1',
} as const;
export type ExtensionName = keyof typeof EXTENSIONS;

/** Stands for every policy (RFC 5280 section 4.2.1.4). */
export const ANY_POLICY = '2.5.29.32.0';
/** Policy qualifiers: they inform people and change no verdict (RFC 5280 section 4.2.1.4). */
export const POLICY_QUALIFIERS = { cps: '1.3.6.1.5.5.7.2.1', userNotice: '1.3.6.1.5.5.7.2.2' } as const;

/** Access methods of authorityInfoAccess (RFC 5280 section 4.2.2.1). */
export const ACCESS_METHODS = { ocsp: '1.3.6.1.5.5.7.48.1', caIssuers: '1.3.6.1.5.5.7.48.2' } as const;

/** Attributes of a certification request (RFC 2985 sections 5.4.1 and 5.4.2; RFC 8951 appendix A). */
export const REQUEST_ATTRIBUTES = {
  challengePassword: '1.2.840.113549.1.9.7',
  unstructuredName: '1.2.840.113549.1.9.2',
  extensionRequest: '1.2.840.113549.1.9.14',
  /** Who the key that the server makes is to be encrypted to (RFC 7030 sections 4.4.1.1 and 4.4.1.2). */
  decryptKeyIdentifier: '1.2.840.113549.1.9.16.2.37',
  asymmetricDecryptKeyIdentifier: '1.2.840.113549.1.9.16.2.54',
} as const;

/** Keys and their signatures alike: RFC 9881 section 2, RFC 9909 section 3; without parameters. */
export const POST_QUANTUM_OIDS = {
  'ML-DSA-65': '2.16.840.1.101.3.4.3.18',
  'ML-DSA-87': '2.16.840.1.101.3.4.3.19',
  'SLH-DSA-SHA2-128s': '2.16.840.1.101.3.4.3.20',
  'SLH-DSA-SHA2-192s': '2.16.840.1.101.3.4.3.22',
  'SLH-DSA-SHA2-256s': '2.16.840.1.101.3.4.3.24',
} as const;

/** Public keys: RFC 5480 section 2.1.1, RFC 8410 section 3, RFC 3279 section 2.3.1. */
export const KEY_OIDS = {
  ecPublicKey: '1.2.840.10045.2.1',
  prime256v1: '1.2.840.10045.3.1.7',
  secp384r1: '1.3.132.0.34',
  Ed25519: '1.3.101.112',
  rsaEncryption: '1.2.840.113549.1.1.1',
  ...POST_QUANTUM_OIDS,
} as const;

/** Signatures: RFC 5758 section 3.2, RFC 8410 section 3, RFC 4055 section 5. */
export const SIGNATURE_OIDS = {
  'ecdsa-with-SHA256': '1.2.840.10045.4.3.2',
  'ecdsa-with-SHA384': '1.2.840.10045.4.3.3',
  Ed25519: '1.3.101.112',
  sha256WithRSAEncryption: '1.2.840.113549.1.1.11',
  sha384WithRSAEncryption: '1.2.840.113549.1.1.12',
  ...POST_QUANTUM_OIDS,
} as const;

/** The name for which `table` holds `oid`, or the dotted OID itself. */
export function nameOf(table: Readonly<Record<string, string>>, oid: string): string {
  for (const [name, value] of Object.entries(table)) if (value === oid) return name;
  return oid;
}
