import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import { FIRMWARE_FORMATS } from '../../firmware/index.ts';
import {
  type Agreed,
  type OrderKind,
  orderSha256Of,
  requireEnough,
  statementSchema,
  verifyAgreement,
} from '../agreement.ts';
import { type OperatorDocument, parseDocumentOf, signDocumentOf } from '../operator-document.ts';
import type { Policy } from '../policy.ts';
import { firstIssue } from '../schema-field.ts';
import type { StatementSigner } from '../signers/index.ts';
import { FIRMWARE_ENVIRONMENTS, firmwareKeyId, firmwareQuorum, productName, targetName } from './policy.ts';
import { MOST_VERSION, VERSION } from './version.ts';

/** An order is one line of people's work: nobody compares more of them. */
export const MOST_FIRMWARE_KEYS = 4;
const MOST_DOCUMENTS = 8;

const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const distinct = (values: readonly string[]): boolean => new Set(values).size === values.length;

const OrderSchema = z.strictObject({
  /** Chosen by the one who asks: an order is carried out once. */
  id: name,
  product: productName,
  environment: z.enum(FIRMWARE_ENVIRONMENTS),
  /** What of the product it is for: a board, a processor, a slot. Versions go up for each by itself. */
  target: targetName,
  version: z.string().max(MOST_VERSION).regex(VERSION, 'must be numbers with dots between, and - or + with words'),
  /** Null where the format has none. */
  securityCounter: z.int().min(0).max(0xffff_ffff).nullable(),
  format: z.enum(FIRMWARE_FORMATS),
  /** The keys that sign, by their ids in the policy. */
  keys: z.array(firmwareKeyId).min(1).max(MOST_FIRMWARE_KEYS).refine(distinct, 'must name each key once'),
  image: z.strictObject({ sha256: hash, bytes: z.int().min(0) }),
  /** SHA-256 of all that the signature depends on, hex: keyd composes what it signs from that. */
  subjectSha256: hash,
  /** What is approved with the image: an SBOM, a provenance. */
  documents: z.array(z.strictObject({ name: z.string().min(1).max(64), sha256: hash })).max(MOST_DOCUMENTS),
  reason: z.string().min(1).max(500),
  /** Whether version or security counter may be below what was signed before. */
  rollback: z.boolean(),
});
export type FirmwareOrder = z.infer<typeof OrderSchema>;

/** An order as people sign it. @throws KeysteadError `firmware-order.malformed` with the field. */
export function checkFirmwareOrder(order: unknown): FirmwareOrder {
  const parsed = OrderSchema.safeParse(order);
  if (parsed.success) return parsed.data;
  throw new KeysteadError('firmware-order.malformed', firstIssue(parsed.error, 'order'));
}

const StatementSchema = statementSchema(OrderSchema);
export type FirmwareStatement = z.infer<typeof StatementSchema>;

const KIND: OrderKind<FirmwareOrder> = {
  context: 'keystead firmware signature v1\n',
  name: 'statement',
  schema: StatementSchema,
  codes: {
    malformed: 'firmware-order.malformed',
    signerUnknown: 'firmware-order.signer-unknown',
    signerForbidden: 'firmware-order.signer-forbidden',
    signatureInvalid: 'firmware-order.signature-invalid',
    otherOrder: 'firmware-order.other-order',
    expired: 'firmware-order.expired',
    notYetValid: 'firmware-order.not-yet-valid',
    tooLong: 'firmware-order.too-long',
    self: 'firmware-order.self',
    duplicate: 'firmware-order.duplicate',
    tooFew: 'firmware-order.too-few',
  },
  permissions: { sign: 'signing.sign', propose: 'signing.request' },
  quorum: firmwareQuorum,
};

/** An order with those who have signed it so far. */
export type AgreedFirmware = Agreed<FirmwareOrder>;

/**
 * Signs a statement of an order to sign firmware. Returns one line of JSON. REQ-KEY-SOD-02
 * @throws KeysteadError `firmware-order.malformed` with the field.
 */
export const signFirmwareStatement = (
  draft: Omit<FirmwareStatement, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `firmware-order.malformed`. */
export const parseFirmwareStatement = (text: string): OperatorDocument<FirmwareStatement> =>
  parseDocumentOf(KIND, text);

/** SHA-256 of an order in its one encoding, hex: what an order is known by. */
export const firmwareOrderSha256 = (order: FirmwareOrder): string => orderSha256Of(order);

/**
 * Verifies the statements of one order, the proposal first, by the policy in force now: who was removed after they
 * signed does not count. Whether there are enough is {@link requireFirmwareQuorum}. REQ-KEY-SOD-02
 * @throws KeysteadError `firmware-order.*` with the statement's place.
 */
export const verifyFirmwareStatements = (texts: readonly string[], policy: Policy, now: Date): AgreedFirmware =>
  verifyAgreement(KIND, texts, policy, now);

/** @throws KeysteadError `firmware-order.too-few`. */
export const requireFirmwareQuorum = (agreed: AgreedFirmware): void => requireEnough(KIND, agreed);
