/** Numbers of TPM 2.0 Library Part 2, rev. 1.59; each table names its section. */

/** TPM_ALG_ID, section 6.3. */
export const ALG = {
  RSA: 0x0001,
  SHA1: 0x0004,
  HMAC: 0x0005,
  AES: 0x0006,
  KEYEDHASH: 0x0008,
  SHA256: 0x000b,
  SHA384: 0x000c,
  SHA512: 0x000d,
  NULL: 0x0010,
  RSASSA: 0x0014,
  RSAES: 0x0015,
  RSAPSS: 0x0016,
  OAEP: 0x0017,
  ECDSA: 0x0018,
  ECDH: 0x0019,
  ECC: 0x0023,
  CFB: 0x0043,
} as const;

/** TPM_ECC_CURVE, section 6.4: the curves that Keystead uses. */
export const CURVE = { 'P-256': 0x0003, 'P-384': 0x0004 } as const;
export type Curve = keyof typeof CURVE;

/** Octets of a coordinate. */
export const FIELD_BYTES: Readonly<Record<Curve, number>> = { 'P-256': 32, 'P-384': 48 };

/** Hashes: TPM_ALG_ID, OpenSSL's name, octets. */
export const HASHES = [
  { name: 'sha1', alg: ALG.SHA1, bytes: 20 },
  { name: 'sha256', alg: ALG.SHA256, bytes: 32 },
  { name: 'sha384', alg: ALG.SHA384, bytes: 48 },
  { name: 'sha512', alg: ALG.SHA512, bytes: 64 },
] as const;
export type TpmHash = (typeof HASHES)[number]['name'];

/** The number of a hash. */
export function hashAlg(name: TpmHash): number {
  return HASHES.find((hash) => hash.name === name)?.alg ?? ALG.NULL;
}

/** Octets of a digest. */
export function hashBytes(name: TpmHash): number {
  return HASHES.find((hash) => hash.name === name)?.bytes ?? 0;
}

/** The hash of a number; undefined for one that is not known here. */
export function hashOf(alg: number): TpmHash | undefined {
  return HASHES.find((hash) => hash.alg === alg)?.name;
}

/** TPM_ST, section 6.9. */
export const TAG = {
  NO_SESSIONS: 0x8001,
  SESSIONS: 0x8002,
  ATTEST_CERTIFY: 0x8017,
  ATTEST_QUOTE: 0x8018,
  HASHCHECK: 0x8024,
} as const;

/** TPM_GENERATED_VALUE, section 6.2: what a restricted key signs begins with it only when the TPM itself made it. */
export const GENERATED = 0xff544347;

/** TPM_RH and TPM_RS, section 7.4. */
export const HANDLE = {
  OWNER: 0x40000001,
  NULL: 0x40000007,
  PASSWORD: 0x40000009,
  LOCKOUT: 0x4000000a,
  ENDORSEMENT: 0x4000000b,
} as const;

/** TPM_SE, section 6.11. */
export const SESSION = { HMAC: 0x00, POLICY: 0x01 } as const;

/** TPMA_SESSION, section 8.4. */
export const SESSION_ATTRIBUTE = { CONTINUE: 0x01, DECRYPT: 0x20, ENCRYPT: 0x40 } as const;

/** TPM_CAP, section 6.12. */
export const CAP = { ALGS: 0x0, HANDLES: 0x1, PCRS: 0x5, TPM_PROPERTIES: 0x6, ECC_CURVES: 0x8 } as const;

/** TPM_PT, section 6.13: fixed ones from 0x100, variable ones from 0x200. */
export const PROPERTY = {
  FAMILY_INDICATOR: 0x100,
  REVISION: 0x102,
  MANUFACTURER: 0x105,
  VENDOR_STRING_1: 0x106,
  FIRMWARE_VERSION_1: 0x10b,
  FIRMWARE_VERSION_2: 0x10c,
  MODES: 0x12d,
  PERMANENT: 0x200,
  LOCKOUT_COUNTER: 0x20e,
  MAX_AUTH_FAIL: 0x20f,
  LOCKOUT_INTERVAL: 0x210,
  LOCKOUT_RECOVERY: 0x211,
} as const;

/** TPMA_OBJECT, section 8.3. */
export const ATTRIBUTE = {
  fixedTPM: 1 << 1,
  stClear: 1 << 2,
  fixedParent: 1 << 4,
  sensitiveDataOrigin: 1 << 5,
  userWithAuth: 1 << 6,
  adminWithPolicy: 1 << 7,
  noDA: 1 << 10,
  encryptedDuplication: 1 << 11,
  restricted: 1 << 16,
  decrypt: 1 << 17,
  sign: 1 << 18,
} as const;
export type Attribute = keyof typeof ATTRIBUTE;

/** Largest command or response that any TPM takes (Part 2 section 4.1 and the drivers' buffers: TPM_BUFSIZE 4096). */
export const BUFFER_BYTES = 4096;
