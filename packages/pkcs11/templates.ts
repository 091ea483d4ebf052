import type { ClassicalKeyAlgorithm } from '@keystead/core/crypto';
import type { Pkcs11Configuration } from './configuration.ts';
import { COUNTER_APPLICATION } from './counter.ts';
import {
  CKA,
  CKK_AES,
  CKK_EC,
  CKK_EC_EDWARDS,
  CKK_GENERIC_SECRET,
  CKK_RSA,
  CKM,
  CKO_DATA,
  CKO_PRIVATE_KEY,
  CKO_PUBLIC_KEY,
  CKO_SECRET_KEY,
} from './cryptoki.ts';
import type { SecretKeyAlgorithm } from './orders.ts';
import { APPLICATION, type KeyRecord, objectIdOf } from './record.ts';

export type Template = { type: number; value: number | boolean | string | Buffer }[];
type Quirks = Pkcs11Configuration['quirks'];

/** CKA_EC_PARAMS: the curve's object identifier, DER (RFC 5480 section 2.1.1.1, RFC 8410 section 3). */
export const CURVE_OID = {
  'P-256': Buffer.from('06082a8648ce3d030107', 'hex'),
  'P-384': Buffer.from('06052b81040022', 'hex'),
  Ed25519: Buffer.from('06032b6570', 'hex'),
} as const;
/** PrintableString "edwards25519" (PKCS#11 v3.0 section 2.3.5). */
export const EDWARDS_NAME = Buffer.from('130c656477617264733235353139', 'hex');
/** 65537 (FIPS 186-5 section 5.4). */
const PUBLIC_EXPONENT = Buffer.from('010001', 'hex');

/** The mechanism that makes a key of each algorithm, and its CKA_KEY_TYPE. */
export const MADE_BY: Readonly<
  Record<ClassicalKeyAlgorithm | SecretKeyAlgorithm, { mechanism: number; keyType: number }>
> = {
  'P-256': { mechanism: CKM.EC_KEY_PAIR_GEN, keyType: CKK_EC },
  'P-384': { mechanism: CKM.EC_KEY_PAIR_GEN, keyType: CKK_EC },
  Ed25519: { mechanism: CKM.EC_EDWARDS_KEY_PAIR_GEN, keyType: CKK_EC_EDWARDS },
  'RSA-3072': { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN, keyType: CKK_RSA },
  'RSA-4096': { mechanism: CKM.RSA_PKCS_KEY_PAIR_GEN, keyType: CKK_RSA },
  'AES-256': { mechanism: CKM.AES_KEY_GEN, keyType: CKK_AES },
  'HMAC-SHA256': { mechanism: CKM.GENERIC_SECRET_KEY_GEN, keyType: CKK_GENERIC_SECRET },
};

/** The public half: readable by everybody, used for nothing on the token. */
export function publicTemplate(record: KeyRecord, quirks: Quirks): Template {
  return [
    { type: CKA.CLASS, value: CKO_PUBLIC_KEY },
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: false },
    ...named(record),
    { type: CKA.VERIFY, value: record.use === 'sign' },
    { type: CKA.ENCRYPT, value: false },
    { type: CKA.WRAP, value: false },
    ...publicParameters(record.algorithm, quirks),
    ...fixed(quirks),
  ];
}

/**
 * The private half: it never leaves the token in the clear (CKA_SENSITIVE) nor wrapped (CKA_EXTRACTABLE false), is used
 * after login only, for one use, and stays as it was made. REQ-KEY-STO-01, REQ-KEY-BAK-01
 */
export function privateTemplate(record: KeyRecord, quirks: Quirks): Template {
  return [
    { type: CKA.CLASS, value: CKO_PRIVATE_KEY },
    { type: CKA.TOKEN, value: true },
    ...kept(),
    ...named(record),
    { type: CKA.SIGN, value: record.use === 'sign' },
    { type: CKA.DERIVE, value: record.use === 'agree' },
    { type: CKA.DECRYPT, value: false },
    { type: CKA.UNWRAP, value: false },
    ...fixed(quirks),
  ];
}

/** An AES-256 key that wraps and unwraps, and neither encrypts nor decrypts: that would open what it wrapped. */
export function wrappingTemplate(record: KeyRecord, quirks: Quirks): Template {
  return [
    { type: CKA.CLASS, value: CKO_SECRET_KEY },
    { type: CKA.KEY_TYPE, value: CKK_AES },
    { type: CKA.TOKEN, value: true },
    ...kept(),
    ...named(record),
    { type: CKA.VALUE_LEN, value: 32 },
    { type: CKA.WRAP, value: true },
    { type: CKA.UNWRAP, value: true },
    { type: CKA.ENCRYPT, value: false },
    { type: CKA.DECRYPT, value: false },
    ...fixed(quirks),
  ];
}

/**
 * A master from which keys are derived: 32 bytes that make CKM_SHA256_HMAC, the block of SP 800-108r1's counter mode.
 * PKCS#11 v3.0 has that mode as a mechanism, CKM_SP800_108_COUNTER_KDF, which few modules know; with the block the derived
 * key comes out, as it must to be wrapped to its device, and the master does not.
 */
export function masterTemplate(record: KeyRecord, quirks: Quirks): Template {
  return [
    { type: CKA.CLASS, value: CKO_SECRET_KEY },
    { type: CKA.KEY_TYPE, value: CKK_GENERIC_SECRET },
    { type: CKA.TOKEN, value: true },
    ...kept(),
    ...named(record),
    { type: CKA.VALUE_LEN, value: 32 },
    { type: CKA.SIGN, value: true },
    { type: CKA.VERIFY, value: false },
    { type: CKA.WRAP, value: false },
    { type: CKA.UNWRAP, value: false },
    { type: CKA.ENCRYPT, value: false },
    { type: CKA.DECRYPT, value: false },
    { type: CKA.DERIVE, value: false },
    ...fixed(quirks),
  ];
}

/** The record of a key: seen after login only. */
export function recordTemplate(record: KeyRecord, value: Uint8Array, quirks: Quirks): Template {
  return [
    { type: CKA.CLASS, value: CKO_DATA },
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: true },
    { type: CKA.APPLICATION, value: APPLICATION },
    { type: CKA.LABEL, value: record.id },
    { type: CKA.VALUE, value: Buffer.from(value) },
    ...fixed(quirks),
  ];
}

/** What finds the record of one key, or all of them. */
export const recordSearch = (id?: string): Template => [
  { type: CKA.CLASS, value: CKO_DATA },
  { type: CKA.TOKEN, value: true },
  { type: CKA.APPLICATION, value: APPLICATION },
  ...(id === undefined ? [] : [{ type: CKA.LABEL, value: id }]),
];

/** A counter: seen, and written, after login only. */
export const counterTemplate = (label: string, value: Uint8Array, quirks: Quirks): Template => [
  ...counterSearch(label),
  { type: CKA.PRIVATE, value: true },
  { type: CKA.VALUE, value: Buffer.from(value) },
  ...fixed(quirks),
];

/** What finds the objects of a counter. */
export const counterSearch = (label: string): Template => [
  { type: CKA.CLASS, value: CKO_DATA },
  { type: CKA.TOKEN, value: true },
  { type: CKA.APPLICATION, value: COUNTER_APPLICATION },
  { type: CKA.LABEL, value: label },
];

/** What finds the objects of one key. */
export const keySearch = (objectClass: number, objectId: Uint8Array): Template => [
  { type: CKA.CLASS, value: objectClass },
  { type: CKA.TOKEN, value: true },
  { type: CKA.ID, value: Buffer.from(objectId) },
];

/** A second key on the same curve that ends with its session: what a new key that agrees is tried against. */
export const probeTemplates = (record: KeyRecord, quirks: Quirks): readonly [Template, Template] => [
  [{ type: CKA.TOKEN, value: false }, ...publicParameters(record.algorithm, quirks)],
  [{ type: CKA.TOKEN, value: false }, ...kept(), { type: CKA.DERIVE, value: true }],
];

const kept = (): Template => [
  { type: CKA.PRIVATE, value: true },
  { type: CKA.SENSITIVE, value: true },
  { type: CKA.EXTRACTABLE, value: false },
];

const named = ({ id }: KeyRecord): Template => [
  { type: CKA.LABEL, value: id },
  { type: CKA.ID, value: Buffer.from(objectIdOf(id)) },
];

const fixed = ({ modifiable }: Quirks): Template =>
  modifiable === 'never' ? [{ type: CKA.MODIFIABLE, value: false }] : [];

function publicParameters(algorithm: KeyRecord['algorithm'], quirks: Quirks): Template {
  switch (algorithm) {
    case 'P-256':
    case 'P-384':
      return [{ type: CKA.EC_PARAMS, value: CURVE_OID[algorithm] }];
    case 'Ed25519':
      return [{ type: CKA.EC_PARAMS, value: quirks.edwardsParams === 'oid' ? CURVE_OID.Ed25519 : EDWARDS_NAME }];
    case 'RSA-3072':
    case 'RSA-4096':
      return [
        { type: CKA.MODULUS_BITS, value: algorithm === 'RSA-3072' ? 3072 : 4096 },
        { type: CKA.PUBLIC_EXPONENT, value: PUBLIC_EXPONENT },
      ];
    case 'AES-256':
    case 'HMAC-SHA256':
      return [];
  }
}
