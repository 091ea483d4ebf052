import { z } from 'zod';
import {
  type GeneratedKeyAlgorithm,
  POST_QUANTUM_ALGORITHMS,
  SIGNATURE_OF,
  type SignatureScheme,
} from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { FIRMWARE_FORMATS, type FirmwareFormatName } from '../../firmware/index.ts';
import type { ApprovalQuorum } from '../approval-quorum.ts';
import { ROLES } from '../roles.ts';

/** Two worlds with keys of their own: what a development key signs starts on no device of production. */
export const FIRMWARE_ENVIRONMENTS = ['production', 'development'] as const;
export type FirmwareEnvironment = (typeof FIRMWARE_ENVIRONMENTS)[number];

/**
 * Algorithms that a key for firmware may have. RSA-2048 is none: its 112 bits are disallowed from 2031 on (SP 800-57 pt 1
 * r5 table 4, SP 800-131A r2), which is within the life of what is signed today. docs/decisions/0046
 */
export const FIRMWARE_KEY_ALGORITHMS = [
  'P-256',
  'P-384',
  'Ed25519',
  'RSA-3072',
  'RSA-4096',
  ...POST_QUANTUM_ALGORITHMS,
] as const satisfies readonly GeneratedKeyAlgorithm[];

/** What a key may sign by in the place of the one signature of its kind (SIGNATURE_OF). */
export const FIRMWARE_SIGNATURES = [
  'ecdsa-with-SHA256',
  'sha256WithRSAEncryption',
  'sha384WithRSAEncryption',
  'RSASSA-PSS-SHA256',
  'RSASSA-PSS-SHA384',
  'RSASSA-PSS-SHA256-longest',
  'RSASSA-PSS-SHA384-longest',
] as const satisfies readonly SignatureScheme[];

/** A product stands in the common name of its keys' certificates, with the key's id: 64 characters are all there is. */
export const productName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, 'must be 1 to 32 letters, digits, . _ -');
/** What of a product an image is for: a board, a processor, a slot. */
export const targetName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');
export const firmwareKeyId = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,30}$/, 'must be 1 to 31 of a-z 0-9 . -');

const formats = z.array(z.enum(FIRMWARE_FORMATS)).min(1).max(FIRMWARE_FORMATS.length);
const quorum = {
  /** How many people must agree, besides the one who asks. */
  approvals: z.int().min(1).max(16),
  /** Who may be one of them: holders of any of these roles. */
  roles: z.array(z.enum(ROLES)).min(1),
  /** Their approvals count only by keys that are held in hardware. */
  hardware: z.literal(true).optional(),
};

/** What becomes of the time stamp (RFC 3161) of a signature: waited for, made where there is a TSA, or not made. */
export const FIRMWARE_TIMESTAMPS = ['required', 'wanted', 'none'] as const;
export type FirmwareTimestamp = (typeof FIRMWARE_TIMESTAMPS)[number];

const LineSchema = z.strictObject({
  /** The keys that sign for it, by their ids; an order names some of them. */
  keys: z.array(firmwareKeyId).min(1).max(16),
  /** Keys that its devices trust too, and by which nothing is signed: not yet, or no more. */
  trusted: z.array(firmwareKeyId).min(1).max(16).optional(),
  /** No key by which it signs is one that its devices trusted by the policy before: they are given up on purpose. */
  cutOver: z.literal(true).optional(),
  formats,
  /**
   * The targets that there are. Versions go up for each target by itself: without this, who asks for one that nobody has
   * named before begins at nothing, and it is for those who approve to see it.
   */
  targets: z.array(targetName).min(1).max(64).optional(),
  ...quorum,
  /** Who may let version or security counter go back; without it nobody may. */
  rollback: z.strictObject(quorum).optional(),
  /** Whether each signature is stamped with its time; without it, `wanted`. */
  timestamp: z.enum(FIRMWARE_TIMESTAMPS).optional(),
});
export type FirmwareLine = z.infer<typeof LineSchema>;

const KeySchema = z.strictObject({
  id: firmwareKeyId,
  algorithm: z.enum(FIRMWARE_KEY_ALGORITHMS),
  /**
   * What it signs by, where that is not the one signature of its kind. For all of its life: an RSA key has one scheme
   * (FIPS 186-5 section 5.1).
   */
  signature: z.enum(FIRMWARE_SIGNATURES).optional(),
  product: productName,
  environment: z.enum(FIRMWARE_ENVIRONMENTS),
  formats,
  /** How many orders it signs at the most; without it, as many as its certificate lives for. */
  maxSignatures: z.int().min(1).optional(),
});
export type FirmwareKey = z.infer<typeof KeySchema>;

/** What firmware is signed, by which keys, and by whose agreement. A policy without it signs none. */
export const FirmwarePolicySchema = z.strictObject({
  products: z
    .array(
      z.strictObject({
        product: productName,
        environments: z.strictObject({ production: LineSchema.optional(), development: LineSchema.optional() }),
      }),
    )
    .min(1)
    .max(256),
  keys: z.array(KeySchema).min(1).max(256),
});
export type FirmwarePolicy = z.infer<typeof FirmwarePolicySchema>;

/** What a key of the policy signs by. */
export const firmwareScheme = ({
  algorithm,
  signature,
}: Pick<FirmwareKey, 'algorithm' | 'signature'>): SignatureScheme => signature ?? SIGNATURE_OF[algorithm];

interface WithFirmware {
  readonly firmware?: FirmwarePolicy | undefined;
  /** What all production has in common. */
  readonly quorums?: { readonly 'firmware-signing': { readonly hardware?: true | undefined } };
}

/** What is asked for, as far as the policy has a say in it. */
export interface FirmwareScope {
  readonly product: string;
  readonly environment: FirmwareEnvironment;
  readonly format?: FirmwareFormatName;
  readonly target?: string;
}

/** What the policy says of a product in an environment. @throws KeysteadError `firmware-order.not-in-policy`. */
export function firmwareLine(policy: WithFirmware, scope: FirmwareScope): FirmwareLine {
  const { product, environment, format, target } = scope;
  const line = policy.firmware?.products.find((one) => one.product === product)?.environments[environment];
  if (line === undefined) {
    throw new KeysteadError('firmware-order.not-in-policy', { field: 'product', seen: `${product} in ${environment}` });
  }
  const { formats: has, targets } = line;
  const refused = (field: string, seen: string, names: readonly string[]): KeysteadError =>
    new KeysteadError('firmware-order.not-in-policy', {
      field,
      seen: `${seen}, where ${product} in ${environment} has ${names.join(', ')}`,
    });
  if (format !== undefined && !has.includes(format)) throw refused('format', format, has);
  if (target !== undefined && targets !== undefined && !targets.includes(target))
    throw refused('target', target, targets);
  return line;
}

/** What the policy says of time stamps there. @throws KeysteadError `firmware-order.not-in-policy`. */
export const firmwareTimestamp = (policy: WithFirmware, scope: FirmwareScope): FirmwareTimestamp =>
  firmwareLine(policy, scope).timestamp ?? 'wanted';

/** A key of the policy. @throws KeysteadError `firmware-order.not-in-policy`. */
export function firmwareKeyOf(policy: WithFirmware, id: string): FirmwareKey {
  const key = policy.firmware?.keys.find((one) => one.id === id);
  if (key === undefined) throw new KeysteadError('firmware-order.not-in-policy', { field: 'keys', seen: id });
  return key;
}

/**
 * How many people an order takes, and with which keys. One that goes back takes the larger quorum; where all production,
 * or what goes up, takes keys that are held in hardware, so does it.
 * @throws KeysteadError `firmware-order.not-in-policy`, `firmware-order.rollback-forbidden`.
 */
export function firmwareQuorum(policy: WithFirmware, order: FirmwareScope & { rollback: boolean }): ApprovalQuorum {
  const line = firmwareLine(policy, order);
  const general = order.environment === 'production' && policy.quorums?.['firmware-signing'].hardware === true;
  const hardware = general || line.hardware === true;
  if (!order.rollback) return { approvals: line.approvals, roles: line.roles, hardware };
  if (line.rollback !== undefined) return { ...line.rollback, hardware: hardware || line.rollback.hardware === true };
  throw new KeysteadError('firmware-order.rollback-forbidden', {
    field: 'rollback',
    seen: `${order.product} in ${order.environment} has no quorum for it`,
  });
}
