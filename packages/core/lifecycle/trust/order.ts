import { z } from 'zod';
import { KeysteadError } from '../../errors/index.ts';
import { bundleName, StandingJsonSchema } from '../../trust/index.ts';
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
import { trustQuorum } from './policy.ts';

const OrderSchema = z.strictObject({
  /** Chosen by the one who asks; no two orders have one. */
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -'),
  fleet: bundleName,
  /** Which change of the content it is, from 1 on: an order is for what stood when it was written, and for nothing later. */
  change: z.int().min(1),
  /** All that is to stand in the bundles from now on: what is not named is gone. */
  content: StandingJsonSchema,
  /** Whether something may be taken from devices before its time is over. */
  strand: z.boolean(),
  reason: z.string().min(1).max(500),
});
export type TrustOrder = z.infer<typeof OrderSchema>;

/** An order as people sign it. @throws KeysteadError `trust-order.malformed` with the field. */
export function checkTrustOrder(order: unknown): TrustOrder {
  const parsed = OrderSchema.safeParse(order);
  if (parsed.success) return parsed.data;
  throw new KeysteadError('trust-order.malformed', firstIssue(parsed.error, 'order'));
}

const StatementSchema = statementSchema(OrderSchema);
export type TrustStatement = z.infer<typeof StatementSchema>;

const KIND: OrderKind<TrustOrder> = {
  context: 'keystead trust bundle order v1\n',
  name: 'statement',
  // The certificates of many anchors.
  mostPayload: 57_344,
  schema: StatementSchema,
  codes: {
    malformed: 'trust-order.malformed',
    signerUnknown: 'trust-order.signer-unknown',
    signerForbidden: 'trust-order.signer-forbidden',
    signatureInvalid: 'trust-order.signature-invalid',
    otherOrder: 'trust-order.other-order',
    expired: 'trust-order.expired',
    notYetValid: 'trust-order.not-yet-valid',
    tooLong: 'trust-order.too-long',
    self: 'trust-order.self',
    duplicate: 'trust-order.duplicate',
    tooFew: 'trust-order.too-few',
  },
  permissions: { sign: 'trust.sign', propose: 'trust.propose' },
  quorum: trustQuorum,
};

/** An order with those who have signed it so far. */
export type AgreedTrust = Agreed<TrustOrder>;

/**
 * Signs a statement of an order to change what stands in trust bundles. Returns one line of JSON. REQ-KEY-SOD-02
 * @throws KeysteadError `trust-order.malformed` with the field.
 */
export const signTrustStatement = (
  draft: Omit<TrustStatement, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `trust-order.malformed`. */
export const parseTrustStatement = (text: string): OperatorDocument<TrustStatement> => parseDocumentOf(KIND, text);

/** SHA-256 of an order in its one encoding, hex: what an order is known by. */
export const trustOrderSha256 = (order: TrustOrder): string => orderSha256Of(order);

/**
 * Verifies the statements of one order, the proposal first, by the policy in force now. Whether there are enough is
 * {@link requireTrustQuorum}. REQ-KEY-SOD-02
 * @throws KeysteadError `trust-order.*` with the statement's place.
 */
export const verifyTrustStatements = (texts: readonly string[], policy: Policy, now: Date): AgreedTrust =>
  verifyAgreement(KIND, texts, policy, now);

/** @throws KeysteadError `trust-order.too-few`. */
export const requireTrustQuorum = (agreed: AgreedTrust): void => requireEnough(KIND, agreed);
