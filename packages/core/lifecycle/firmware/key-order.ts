import { z } from 'zod';
import {
  type Agreed,
  type ApprovalQuorum,
  type OrderKind,
  orderSha256Of,
  requireEnough,
  statementSchema,
  verifyAgreement,
} from '../agreement.ts';
import { type OperatorDocument, parseDocumentOf, signDocumentOf } from '../operator-document.ts';
import type { Policy } from '../policy.ts';
import type { StatementSigner } from '../signers/index.ts';
import { FIRMWARE_SIGNATURES, firmwareKeyId } from './policy.ts';

/** What several people order of a firmware key: that it never signs again, or that a suspended one signs on. */
export const FIRMWARE_KEY_CHANGES = ['kill', 'resume'] as const;
export type FirmwareKeyChange = (typeof FIRMWARE_KEY_CHANGES)[number];

const meant = {
  /** Chosen by the one who asks: an order is carried out once. */
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -'),
  /** The key's id in the policy. */
  key: firmwareKeyId,
  /** SHA-256 of its public key, hex: names are given again after a restore, keys are not. */
  spkiSha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex'),
  reason: z.string().min(1).max(200),
};
const OrderSchema = z.discriminatedUnion('change', [
  z.strictObject({ ...meant, change: z.literal('kill') }),
  z.strictObject({
    ...meant,
    change: z.literal('resume'),
    /** How many changes the key has had: what was agreed about one suspension does not end the next. */
    after: z.int().min(0),
    /**
     * What people have found in the audit log, where keyd may have forgotten it: for how many orders the key was used, and
     * by which signature, null for the one of its kind.
     */
    used: z.strictObject({ orders: z.int().min(0), signature: z.enum(FIRMWARE_SIGNATURES).nullable() }).optional(),
  }),
]);
export type FirmwareKeyOrder = z.infer<typeof OrderSchema>;

const StatementSchema = statementSchema(OrderSchema);
export type FirmwareKeyStatement = z.infer<typeof StatementSchema>;

/**
 * How many people it takes. To kill a key is the policy's quorum `firmware-emergency`, or where it names none that for the
 * revocation of a CA; a key comes back by those who could also put another one into the policy.
 */
export const firmwareKeyQuorum = (
  { quorums }: Pick<Policy, 'quorums'>,
  { change }: Pick<FirmwareKeyOrder, 'change'>,
): ApprovalQuorum =>
  change === 'kill' ? (quorums['firmware-emergency'] ?? quorums['ca-revocation']) : quorums['policy-change'];

const KIND: OrderKind<FirmwareKeyOrder> = {
  context: 'keystead firmware key v1\n',
  name: 'statement',
  schema: StatementSchema,
  codes: {
    malformed: 'firmware-key-order.malformed',
    signerUnknown: 'firmware-key-order.signer-unknown',
    signerForbidden: 'firmware-key-order.signer-forbidden',
    signatureInvalid: 'firmware-key-order.signature-invalid',
    otherOrder: 'firmware-key-order.other-order',
    expired: 'firmware-key-order.expired',
    notYetValid: 'firmware-key-order.not-yet-valid',
    tooLong: 'firmware-key-order.too-long',
    self: 'firmware-key-order.self',
    duplicate: 'firmware-key-order.duplicate',
    tooFew: 'firmware-key-order.too-few',
  },
  permissions: { sign: 'firmware-key.sign', propose: 'firmware-key.propose' },
  quorum: firmwareKeyQuorum,
};

/**
 * Signs a statement of an order about a firmware key. Returns one line of JSON. REQ-KEY-SOD-02, REQ-KEY-ROT-02
 * @throws KeysteadError `firmware-key-order.malformed` with the field.
 */
export const signFirmwareKeyStatement = (
  draft: Omit<FirmwareKeyStatement, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `firmware-key-order.malformed`. */
export const parseFirmwareKeyStatement = (text: string): OperatorDocument<FirmwareKeyStatement> =>
  parseDocumentOf(KIND, text);

/** SHA-256 of an order in its one encoding, hex: what an order is known by. */
export const firmwareKeyOrderSha256 = (order: FirmwareKeyOrder): string => orderSha256Of(order);

/** An order that enough people have signed. */
export type AgreedFirmwareKey = Agreed<FirmwareKeyOrder>;

/**
 * Verifies the statements of one order, the proposal first, and that they are as many as the policy in force asks for, in a
 * demonstration too: a killed key never signs again. REQ-KEY-SOD-02
 * @throws KeysteadError `firmware-key-order.*` with the statement's place.
 */
export function verifyFirmwareKeyOrder(texts: readonly string[], policy: Policy, now: Date): AgreedFirmwareKey {
  const agreed = verifyAgreement(KIND, texts, policy, now);
  requireEnough(KIND, agreed);
  return agreed;
}
