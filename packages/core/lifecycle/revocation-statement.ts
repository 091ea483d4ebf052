import { z } from 'zod';
import { type Serial, type SpkiSha256, toHex } from '../bytes/index.ts';
import { sha256 } from '../crypto/index.ts';
import {
  type Agreed,
  type OrderKind,
  orderSha256Of,
  requireEnough,
  statementSchema,
  verifyAgreement,
} from './agreement.ts';
import { REVOCATION_ACTS } from './certificate-states.ts';
import { isListedIssuer, type ListedIssuer } from './issuer.ts';
import { type OperatorDocument, parseDocumentOf, signDocumentOf } from './operator-document.ts';
import type { Policy } from './policy.ts';
import { GIVEN_REASONS, type RevocationSelectorKind } from './revocation-authority.ts';
import { type RevocationKind, revocationQuorum } from './revocation-rules.ts';
import type { StatementSigner } from './signers/proof.ts';

const issuer = z.custom<ListedIssuer>((value) => typeof value === 'string' && isListedIssuer(value), {
  message: 'must be an issuer, such as operational, operational.2 or factory.berlin-1',
});
const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const serial = z
  .string()
  .regex(/^(?!00.)(?:[0-9a-f]{2}){1,20}$/, 'must be a serial number in lower-case hex without leading zero octets')
  .transform((hex) => hex as Serial);
const time = z.iso.datetime({ offset: false, precision: 0 });
const id = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');

/** What is revoked, with every name in its one form. */
export const RevocationSelectorSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('certificate'), issuer, serial }),
  z.strictObject({ kind: z.literal('key'), spkiSha256: hash.transform((hex) => hex as SpkiSha256) }),
  z.strictObject({ kind: z.literal('device'), deviceId: id }),
  z.strictObject({ kind: z.literal('batch'), ticketId: id }),
  z.strictObject({ kind: z.literal('ca'), ca: issuer }),
]);
export type RevocationSelector = z.infer<typeof RevocationSelectorSchema>;

const OrderSchema = z
  .strictObject({
    /** Chosen by the one who asks: an order is carried out once. */
    id,
    act: z.enum(REVOCATION_ACTS),
    selector: RevocationSelectorSchema,
    reason: z.enum(GIVEN_REASONS).optional(),
    /** RFC 5280 section 5.3.2. */
    invalidityDate: time.optional(),
    /** What people saw and agreed to: how many stand on the list, and its hash ({@link revocationListSha256}). */
    count: z.int().min(0),
    listSha256: hash,
  })
  .refine(({ act, reason }) => (act === 'revoke') === (reason !== undefined), {
    path: ['reason'],
    message: 'must be there for a revocation, and for nothing else',
  });
export type RevocationStatementOrder = z.infer<typeof OrderSchema>;

const StatementSchema = statementSchema(OrderSchema);
export type RevocationStatement = z.infer<typeof StatementSchema>;
export type SignedRevocationStatement = OperatorDocument<RevocationStatement>;

/** The refusals of orders about revocations, whatever they revoke. */
export const REVOCATION_ORDER_CODES = {
  malformed: 'revocation-request.malformed',
  signerUnknown: 'revocation-request.signer-unknown',
  signerForbidden: 'revocation-request.signer-forbidden',
  signatureInvalid: 'revocation-request.signature-invalid',
  otherOrder: 'revocation-request.other-order',
  expired: 'revocation-request.expired',
  notYetValid: 'revocation-request.not-yet-valid',
  tooLong: 'revocation-request.too-long',
  self: 'revocation-request.self',
  duplicate: 'revocation-request.duplicate',
  tooFew: 'revocation-request.too-few',
} as const;

const KIND: OrderKind<RevocationStatementOrder> = {
  context: 'keystead revocation statement v1\n',
  name: 'statement',
  // The brands of serials and hashes are types only: what is read is what is encoded.
  schema: StatementSchema as z.ZodType<RevocationStatement>,
  codes: REVOCATION_ORDER_CODES,
  permissions: { sign: 'revocation.sign', propose: 'revocation.propose' },
  quorum: (policy, order) => revocationQuorum(policy, kindOfOrder(order)),
};

/** A certificate on the list that a statement binds. */
export interface ListedCertificate {
  readonly issuer: string;
  readonly serial: Serial;
}

/** SHA-256, hex, over the lines `issuer serial\n`, sorted: the same list whatever the order in which it was found. */
export function revocationListSha256(list: readonly ListedCertificate[]): string {
  const lines = list.map((one) => `${one.issuer} ${one.serial}\n`).sort();
  return toHex(sha256(Buffer.from(lines.join(''), 'latin1')));
}

/**
 * Signs a statement. Returns one line of JSON. REQ-KEY-REV-01, REQ-KEY-SOD-02
 * @throws KeysteadError `revocation-request.malformed` with the field.
 */
export const signRevocationStatement = (
  draft: Omit<RevocationStatement, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `revocation-request.malformed`. */
export const parseRevocationStatement = (text: string): SignedRevocationStatement => parseDocumentOf(KIND, text);

/** SHA-256 of an order in its one encoding, hex: what an order is known by. */
export const revocationOrderSha256 = (order: RevocationStatementOrder): string => orderSha256Of(order);

/** An order with those who have signed it so far. */
export type AgreedRevocation = Agreed<RevocationStatementOrder>;

/** What an order asks for, as the rules look at it. */
export const kindOfOrder = ({ act, selector, reason }: RevocationStatementOrder): RevocationKind => ({
  act,
  reason,
  selector: selector.kind satisfies RevocationSelectorKind,
});

/**
 * Verifies the statements of one order, the proposal first: each signed by an operator of `policy` who may, for the
 * very same order, now; the one who asks approves nothing, and a person and a key count once. Whether there are enough
 * is {@link requireAgreed}. REQ-KEY-SOD-02
 * @throws KeysteadError `revocation-request.*` with the statement's place.
 */
export const verifyRevocationStatements = (texts: readonly string[], policy: Policy, now: Date): AgreedRevocation =>
  verifyAgreement(KIND, texts, policy, now);

/** @throws KeysteadError `revocation-request.too-few`. */
export const requireAgreed = (agreed: AgreedRevocation): void => requireEnough(KIND, agreed);
