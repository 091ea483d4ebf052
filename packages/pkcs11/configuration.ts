import { isAbsolute } from 'node:path';
import { z } from 'zod';

/** CK_TOKEN_INFO (PKCS#11 v2.40 section 3.2): a label has at most 32 bytes, a serial number 16, blank-padded. */
const label = z.string().min(1).max(32);
const serial = z.string().min(1).max(16);

/**
 * Which token of which module holds the keys, and where that token departs from the standard. A Thales, Entrust,
 * Utimaco or YubiHSM module is a file of this form and no code (docs/pkcs11.md has one for each). The PIN stands
 * nowhere in it. REQ-KEY-STO-01
 */
export const Pkcs11Schema = z.strictObject({
  version: z.literal(1),
  make: z.literal('pkcs11'),
  /** The module's shared library. Absolute: a name that the loader searches for could find another's. */
  module: z.string().refine(isAbsolute, 'the path of the module must be absolute'),
  /** The token, by what does not change when it is put into another slot; the slot's number is the last resort. */
  token: z.union([z.strictObject({ label }), z.strictObject({ serial }), z.strictObject({ slot: z.int().min(0) })]),
  /** Threads, each with one session of its own: as many calls are under way at once. */
  sessions: z.int().min(1).max(64).default(2),
  /** How long one call of the token may take before its requests are answered with `keystore.token-slow`, seconds. */
  callSeconds: z.number().min(0.05).max(300).default(10),
  /** The validated module that the token is, as its certificate names it, or `none`: for the operator to know. */
  fips140: z.string().min(1).max(200).default('none'),
  quirks: z
    .strictObject({
      /** `leave`: CKA_MODIFIABLE is not set, on a token that refuses a template with it. */
      modifiable: z.enum(['never', 'leave']).default('never'),
      /** CKA_EC_PARAMS of Ed25519: the object identifier (RFC 8410) or the curve's name (PKCS#11 v3.0 section 2.3.5). */
      edwardsParams: z.enum(['oid', 'name']).default('oid'),
      /** The peer's point in CKM_ECDH1_DERIVE: as it is, or as a DER OCTET STRING (PKCS#11 v2.40 allows both). */
      ecdhPoint: z.enum(['raw', 'der']).default('raw'),
    })
    .prefault({}),
});

export type Pkcs11Configuration = z.infer<typeof Pkcs11Schema>;
