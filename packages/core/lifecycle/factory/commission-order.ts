import { z } from 'zod';
import {
  type Agreed,
  type OrderKind,
  orderSha256Of,
  requireEnough,
  statementSchema,
  verifyAgreement,
} from '../agreement.ts';
import type { Quorum } from '../keying.ts';
import { type OperatorDocument, parseDocumentOf, signDocumentOf } from '../operator-document.ts';
import type { Policy } from '../policy.ts';
import type { StatementSigner } from '../signers/proof.ts';
import { deviceIdPrefix, documentId, hash, serverName } from './fields.ts';
import { factoryName } from './name.ts';

/**
 * `commission` founds a node; `renew` gives its keys certificates that end later, and says anew what it may do; `close`
 * ends it: no certificate and no ticket any more, and what it sends is still taken in.
 */
export const COMMISSION_ACTS = ['commission', 'renew', 'close'] as const;

const OrderSchema = z
  .strictObject({
    /** Chosen by the one who asks: an order is carried out once. */
    id: documentId,
    act: z.enum(COMMISSION_ACTS),
    factory: factoryName,
    /** SHA-256 of the request's file, hex: the keys that are certified, and no others. */
    requestSha256: hash,
    /** Every device id of this factory begins with one of these. */
    deviceIdPrefixes: z.array(deviceIdPrefix).min(1).max(64),
    /** DNS names and IP addresses that its servers may have: its server sub-CA is constrained to them. */
    serverNames: z.array(serverName).min(1).max(16),
    /** How long its CAs issue, in seconds; the policy and their issuers may allow less. */
    seconds: z.int().min(1),
    /** For `close`: the certificates of its CAs are revoked, and with them every IDevID that they issued. */
    revoke: z.literal(true).optional(),
  })
  .refine(({ act, revoke }) => act === 'close' || revoke === undefined, {
    path: ['revoke'],
    message: 'must not be there but for a close',
  });
export type CommissionOrder = z.infer<typeof OrderSchema>;

const StatementSchema = statementSchema(OrderSchema);
export type CommissionStatement = z.infer<typeof StatementSchema>;

const KIND: OrderKind<CommissionOrder> = {
  context: 'keystead factory commission statement v1\n',
  name: 'statement',
  schema: StatementSchema,
  codes: {
    malformed: 'commission.malformed',
    signerUnknown: 'commission.signer-unknown',
    signerForbidden: 'commission.signer-forbidden',
    signatureInvalid: 'commission.signature-invalid',
    otherOrder: 'commission.other-order',
    expired: 'commission.expired',
    notYetValid: 'commission.not-yet-valid',
    tooLong: 'commission.too-long',
    self: 'commission.self',
    duplicate: 'commission.duplicate',
    tooFew: 'commission.too-few',
  },
  permissions: { sign: 'factory.sign', propose: 'factory.propose' },
  quorum: (policy) => commissionQuorum(policy),
};

/** An order that enough people have signed. */
export type AgreedCommission = Agreed<CommissionOrder>;

/** How many people the commission of a factory takes. */
export const commissionQuorum = (policy: Policy): Quorum => policy.quorums['ca-rotation'];

export const commissionOrderSha256 = (order: CommissionOrder): string => orderSha256Of(order);

/** Signs a statement. Returns one line of JSON. @throws KeysteadError `commission.malformed` with the field. */
export const signCommissionStatement = (
  draft: Omit<CommissionStatement, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `commission.malformed`. */
export const parseCommissionStatement = (text: string): OperatorDocument<CommissionStatement> =>
  parseDocumentOf(KIND, text);

/**
 * Verifies the statements of one order, the proposal first: each signed by an operator of `policy` who may, for the very
 * same order, now; the one who asks approves nothing, a person and a key count once, and there are as many approvals as
 * the policy asks for. REQ-KEY-SOD-02
 * @throws KeysteadError `commission.*` with the statement's place.
 */
export function verifyCommissionStatements(texts: readonly string[], policy: Policy, now: Date): AgreedCommission {
  const agreed = verifyAgreement(KIND, texts, policy, now);
  requireEnough(KIND, agreed);
  return agreed;
}
