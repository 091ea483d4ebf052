import { z } from 'zod';
import type { ErrorCode } from '../../errors/index.ts';
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
import type { StatementSigner } from '../signers/proof.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const id = z.string().regex(/^[0-9a-f]{32}$/, 'must be 16 bytes in lower-case hex');

/** What a quorum agrees to: one restore of one backup, and no other restore of the same backup. */
export const RestoreOrderSchema = z.strictObject({
  /** Drawn at random when the restore began: 16 bytes, hex. */
  restore: id,
  /** A drill opens no keyd. */
  purpose: z.enum(['restore', 'drill']),
  backupId: id,
  manifestSha256: sha256,
  /** The name of the log, by which people know the deployment. */
  log: z.string().min(1).max(256),
  /** Whether entries after the backup may be lost. */
  acceptLoss: z.boolean(),
});
export type RestoreOrder = z.infer<typeof RestoreOrderSchema>;

const StatementSchema = statementSchema(RestoreOrderSchema);
export type RestoreStatement = z.infer<typeof StatementSchema>;

const CODES = {
  malformed: 'restore-order.malformed',
  signerUnknown: 'restore-order.signer-unknown',
  signerForbidden: 'restore-order.signer-forbidden',
  signatureInvalid: 'restore-order.signature-invalid',
  otherOrder: 'restore-order.other-order',
  expired: 'restore-order.expired',
  notYetValid: 'restore-order.not-yet-valid',
  tooLong: 'restore-order.too-long',
  self: 'restore-order.self',
  duplicate: 'restore-order.duplicate',
  tooFew: 'restore-order.too-few',
} as const satisfies Record<string, ErrorCode>;

const KIND: OrderKind<RestoreOrder> = {
  context: 'keystead restore v1\n',
  name: 'statement',
  schema: StatementSchema,
  codes: CODES,
  permissions: { sign: 'restore.sign', propose: 'restore.propose' },
  quorum: ({ quorums }) => quorums.restore,
};

/**
 * Signs a statement about a restore. Returns one line of JSON. REQ-KEY-BAK-02, REQ-KEY-SOD-02
 * @throws KeysteadError `restore-order.malformed` with the field.
 */
export const signRestoreStatement = (
  draft: Omit<RestoreStatement, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `restore-order.malformed`. */
export const parseRestoreStatement = (text: string): OperatorDocument<RestoreStatement> => parseDocumentOf(KIND, text);

/** SHA-256 of an order in its one encoding, hex. */
export const restoreOrderSha256 = (order: RestoreOrder): string => orderSha256Of(order);

/**
 * Verifies the statements of one restore, the proposal first, as {@link verifyAgreement} does, and that there are as many
 * as the quorum `restore` of the policy asks for, which is the policy in the backup. Whether it is this restore is for
 * the keyd whose journal names it. REQ-KEY-SOD-02
 * @throws KeysteadError `restore-order.*`, `approval.hardware-required`, with the statement's place.
 */
export function verifyRestoreOrder(texts: readonly string[], policy: Policy, now: Date): Agreed<RestoreOrder> {
  const agreed = verifyAgreement(KIND, texts, policy, now);
  requireEnough(KIND, agreed);
  return agreed;
}
