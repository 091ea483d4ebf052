import { z } from 'zod';
import { KeysteadError } from '../errors/index.ts';
import {
  type Agreed,
  type OrderKind,
  orderSha256Of,
  requireEnough,
  statementSchema,
  verifyAgreement,
} from './agreement.ts';
import { type IssuerId, isIssuerId } from './issuer.ts';
import { type OperatorDocument, parseDocumentOf, signDocumentOf } from './operator-document.ts';
import type { Policy } from './policy.ts';
import { REVOCATION_ORDER_CODES } from './revocation-statement.ts';
import type { StatementSigner } from './signers/proof.ts';

/** Why a CA is revoked (RFC 5280 section 5.3.1). A CA is never on hold. */
export const CA_REVOCATION_REASONS = ['unspecified', 'cACompromise', 'superseded', 'cessationOfOperation'] as const;
export type CaRevocationReason = (typeof CA_REVOCATION_REASONS)[number];

const time = z.iso.datetime({ offset: false, precision: 0 });

const OrderSchema = z.strictObject({
  /** Chosen by the one who asks: an order is carried out once. */
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -'),
  /** The key of a CA that is meant. */
  ca: z.custom<IssuerId>((value) => typeof value === 'string' && isIssuerId(value), {
    message: 'must be a CA of keyd, or one of its later keys, such as operational.2',
  }),
  /** SHA-256 of its public key, hex: names are given again after a restore, keys are not. */
  spkiSha256: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex'),
  reason: z.enum(CA_REVOCATION_REASONS),
  /** Since when the key is known or feared to be in other hands (RFC 5280 section 5.3.2). */
  invalidityDate: time.optional(),
});
export type CaRevocationOrder = z.infer<typeof OrderSchema>;

const StatementSchema = statementSchema(OrderSchema);
export type CaRevocationStatement = z.infer<typeof StatementSchema>;

const KIND: OrderKind<CaRevocationOrder> = {
  context: 'keystead CA revocation v1\n',
  name: 'statement',
  schema: StatementSchema,
  codes: REVOCATION_ORDER_CODES,
  permissions: { sign: 'revocation.sign', propose: 'revocation.propose' },
  quorum: ({ quorums }) => quorums['ca-revocation'],
};

/**
 * Signs a statement of an order to revoke a CA between ceremonies. Returns one line of JSON. REQ-KEY-REV-01,
 * REQ-KEY-SOD-02
 * @throws KeysteadError `revocation-request.malformed` with the field.
 */
export const signCaRevocation = (
  draft: Omit<CaRevocationStatement, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `revocation-request.malformed`. */
export const parseCaRevocation = (text: string): OperatorDocument<CaRevocationStatement> => parseDocumentOf(KIND, text);

/** SHA-256 of an order in its one encoding, hex: what an order is known by. */
export const caRevocationSha256 = (order: CaRevocationOrder): string => orderSha256Of(order);

/** An order that enough people have signed. */
export type AgreedCaRevocation = Agreed<CaRevocationOrder>;

/**
 * Verifies the statements of one order, the proposal first: each signed by an operator of `policy` who may, for the
 * very same order, now; the one who asks approves nothing, a person and a key count once, and there are as many as the
 * policy asks for the revocation of a CA, in a demonstration too, for nothing takes it back. REQ-KEY-SOD-02
 * @throws KeysteadError `revocation-request.*` with the statement's place.
 */
export function verifyCaRevocation(texts: readonly string[], policy: Policy, now: Date): AgreedCaRevocation {
  const agreed = verifyAgreement(KIND, texts, policy, now);
  requireInvalidity(agreed.order, now);
  requireEnough(KIND, agreed);
  return agreed;
}

function requireInvalidity({ invalidityDate }: CaRevocationOrder, now: Date): void {
  if (invalidityDate === undefined || Date.parse(invalidityDate) <= now.getTime()) return;
  throw new KeysteadError('revocation.invalidity-date', { field: 'invalidityDate', seen: invalidityDate });
}
