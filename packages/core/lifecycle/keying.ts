/**
 * The parts of a policy that say how keys are kept: how long each is used, where it lives, how strong it is, and how
 * many people a sensitive act needs. Forms only; the rules between them are in keying-rules.ts. REQ-KEY-POL-01
 */
import { z } from 'zod';
import type { KeyAlgorithm } from '../crypto/index.ts';
import { KEY_PURPOSE_IDS } from './key-purposes.ts';
import { ROLES } from './roles.ts';

/** Longest time that a policy may name for anything that is measured in seconds: 40 years. */
const LONGEST_SECONDS = 40 * 365 * 86_400;
export const seconds = z.int().min(1).max(LONGEST_SECONDS);
const period = z.union([seconds, z.literal('none')]);
const purpose = z.enum(KEY_PURPOSE_IDS);

/** SP 800-57 pt 1 r5 section 5.3.5: both periods begin with the key's activation; together they are its cryptoperiod. */
const CryptoperiodSchema = z.strictObject({
  purpose,
  /** Originator usage period: how long the key may sign, encrypt, wrap or authenticate its owner. */
  originatorSeconds: period,
  /** Recipient usage period: how long others may verify, decrypt or unwrap what it protected. */
  recipientSeconds: period,
  /** How long before the end of the originator usage period a warning is given. */
  warnSeconds: z.int().min(0).max(LONGEST_SECONDS),
});
export type Cryptoperiod = z.infer<typeof CryptoperiodSchema>;

/** The places where a private or secret key may live. */
export const KEY_CUSTODIES = ['pkcs11', 'tpm2', 'sealed-file', 'memory', 'device'] as const;
export type KeyCustody = (typeof KEY_CUSTODIES)[number];

const CustodySchema = z.strictObject({
  purpose,
  /** The role that answers for keys of this purpose. */
  owner: z.enum(ROLES),
  allowed: z.array(z.enum(KEY_CUSTODIES)).min(1),
  /** The least FIPS 140-2 or 140-3 level of the module that holds it. */
  fips140: z.union([z.literal('none'), z.int().min(1).max(4)]),
});
export type CustodyRule = z.infer<typeof CustodySchema>;

const bits = z.union([z.literal(112), z.literal(128), z.literal(192), z.literal(256)]);

/** Bits of security strength, SP 800-57 pt 1 r5 table 2. RSA-4096 counts as 3072: it is below 7680, which has 192. */
export const STRENGTH_BITS: Readonly<Record<KeyAlgorithm, 112 | 128 | 192 | 256>> = {
  'P-256': 128,
  'P-384': 192,
  Ed25519: 128,
  'RSA-2048': 112,
  'RSA-3072': 128,
  'RSA-4096': 128,
  // NIST's categories 1, 3 and 5, which are as hard as AES of 128, 192 and 256 bits (FIPS 204, FIPS 205).
  'ML-DSA-65': 192,
  'ML-DSA-87': 256,
  'SLH-DSA-SHA2-128s': 128,
  'SLH-DSA-SHA2-192s': 192,
  'SLH-DSA-SHA2-256s': 256,
};

/** The acts that need several people, and what each is called in a document. */
export const SENSITIVE_ACTS = {
  'policy-change': 'putting another policy in force',
  restore: 'restoring a backup',
  'ca-rotation': 'replacing the key of a CA',
  'ca-revocation': 'revoking a CA',
  'firmware-signing': 'signing firmware for release',
  'ceremony-witnesses': 'witnessing a ceremony',
} as const;
export type SensitiveAct = keyof typeof SENSITIVE_ACTS;

const QuorumSchema = z.strictObject({
  /** How many people must agree, besides the one who asks. */
  approvals: z.int().min(1).max(16),
  /** Who may be one of them: holders of any of these roles. Witnesses of a ceremony need none, so it may be empty there. */
  roles: z.array(z.enum(ROLES)),
  /** Approvals count only by keys that are held in hardware. */
  hardware: z.literal(true).optional(),
});
export type Quorum = z.infer<typeof QuorumSchema>;

const TicketQuorumSchema = z.strictObject({
  /** How many people must sign it, all told: nobody asks for it but those who sign. */
  signatures: z.int().min(1).max(16),
  /** Who may be one of them: holders of any of these roles that may sign tickets at all. */
  roles: z.array(z.enum(ROLES)).min(1),
  /** Signatures count only by keys that are held in hardware. */
  hardware: z.literal(true).optional(),
});

export const KeyingShape = {
  /** True in a policy that nobody should rely on: one approval may do, and all that is printed says so. */
  demonstration: z.boolean(),
  /** The document that `keystead policy document` prints. */
  document: z.strictObject({
    id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ / -'),
    /** The function that answers for the document, for example `Product security`. */
    owner: z.string().min(1).max(128),
    /** How often it is reviewed. */
    reviewSeconds: seconds,
  }),
  /** One entry for each purpose of `KEY_PURPOSES`. */
  cryptoperiods: z.array(CryptoperiodSchema),
  /** One entry for each purpose. */
  custody: z.array(CustodySchema),
  strengths: z.strictObject({
    /** The least bits of security strength of a key whose signatures are accepted. */
    acceptedBits: bits,
    /** The least bits of a key that a certificate is issued for. */
    issuedBits: bits,
    /** Purposes that need more. */
    purposes: z.array(z.strictObject({ purpose, bits })),
  }),
  quorums: z.strictObject({
    'policy-change': QuorumSchema,
    restore: QuorumSchema,
    'ca-rotation': QuorumSchema,
    'ca-revocation': QuorumSchema,
    'firmware-signing': QuorumSchema,
    'ceremony-witnesses': QuorumSchema,
    /** Who kills a firmware key that is in other hands; without it, those who revoke a CA. */
    'firmware-emergency': QuorumSchema.optional(),
    /** Who signs batch tickets; without it, what ticket.ts says. */
    'batch-ticket': TicketQuorumSchema.optional(),
  } satisfies Record<SensitiveAct, typeof QuorumSchema> & Record<'batch-ticket' | 'firmware-emergency', unknown>),
  approvals: z.strictObject({
    /** The longest time between the signature of a statement and its end. */
    maxSeconds: seconds,
  }),
  grace: z.strictObject({
    /** How long after the end of its LDevID a device may still recover by itself. */
    renewalSeconds: seconds,
    /** How long a key may be suspended before it must be resumed or revoked. */
    suspendedSeconds: seconds,
  }),
};
