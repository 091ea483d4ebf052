import { z } from 'zod';
import { toHex } from '../bytes/index.ts';
import { sha256 as hashOf } from '../crypto/index.ts';
import type { ErrorCode } from '../errors/index.ts';
import { type Agreed, type OrderKind, requireEnough, statementSchema, verifyAgreement } from './agreement.ts';
import { type OperatorDocument, parseDocumentOf, signDocumentOf } from './operator-document.ts';
import type { Policy } from './policy.ts';
import type { StatementSigner } from './signers/proof.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'must be 1 to 64 letters, digits, . _ -');

/** The most devices that an order names one by one: with their names a statement stays what people can read. */
export const MOST_NAMED = 128;

/**
 * The order to go on with a rotation although it cuts devices off. It names the devices by the hash of their list, so
 * that what people agree to is these devices and no other: one more, and it is worth nothing.
 */
const OrderSchema = z
  .strictObject({
    campaign: name,
    /** SHA-256 of the plan in its one encoding: a campaign of the same name with another plan is another campaign. */
    planSha256: sha256,
    /** How many devices are cut off, for the people who sign. */
    devices: z.int().min(1),
    /** SHA-256 of their ids, ascending in the order of their octets, each followed by a line feed. */
    devicesSha256: sha256,
    /**
     * The devices themselves, where only these are given up and the campaign waits for the others that it would cut off:
     * ascending, and the very ones of the hash. Without it the hash is of all of them.
     */
    only: z.array(name).min(1).max(MOST_NAMED).optional(),
    reason: z.string().min(1).max(500),
  })
  .refine(
    ({ only, devices, devicesSha256 }) =>
      only === undefined ||
      (only.length === devices &&
        only.every((id, index) => index === 0 || (only[index - 1] ?? '') < id) &&
        devicesSha256Of(only) === devicesSha256),
    { path: ['only'], error: 'must be the devices of devicesSha256, ascending, each once' },
  );
export type RotationOrder = z.infer<typeof OrderSchema>;

const StatementSchema = statementSchema(OrderSchema);
export type RotationStatement = z.infer<typeof StatementSchema>;

/** SHA-256 over ids of devices, ascending by their octets, each followed by a line feed; hex. */
export function devicesSha256Of(ids: readonly string[]): string {
  const sorted = [...ids].sort((a, b) => (a < b ? -1 : 1));
  return toHex(hashOf(Buffer.from(sorted.map((id) => `${id}\n`).join(''), 'utf8')));
}

const CODES = {
  malformed: 'rotation-order.malformed',
  signerUnknown: 'rotation-order.signer-unknown',
  signerForbidden: 'rotation-order.signer-forbidden',
  signatureInvalid: 'rotation-order.signature-invalid',
  otherOrder: 'rotation-order.other-order',
  expired: 'rotation-order.expired',
  notYetValid: 'rotation-order.not-yet-valid',
  tooLong: 'rotation-order.too-long',
  self: 'rotation-order.self',
  duplicate: 'rotation-order.duplicate',
  tooFew: 'rotation-order.too-few',
} as const satisfies Record<string, ErrorCode>;

const KIND: OrderKind<RotationOrder> = {
  context: 'keystead rotation order v1\n',
  name: 'statement',
  schema: StatementSchema,
  codes: CODES,
  permissions: { sign: 'rotation.sign', propose: 'rotation.manage' },
  quorum: ({ quorums }) => quorums['ca-rotation'],
};

/**
 * Signs a statement of the order to cut devices off. Returns one line of JSON. REQ-KEY-ROT-03, REQ-KEY-SOD-02
 * @throws KeysteadError `rotation-order.malformed` with the field.
 */
export const signRotationOrder = (
  draft: Omit<RotationStatement, 'v'>,
  signerName: string,
  signer: StatementSigner,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `rotation-order.malformed`. */
export const parseRotationOrder = (text: string): OperatorDocument<RotationStatement> => parseDocumentOf(KIND, text);

/**
 * Verifies the statements of one order, the proposal first, as {@link verifyAgreement} does, and that there are as many
 * as the policy's quorum `ca-rotation` asks for: in a demonstration too, for a device in the field does not know that it
 * is one. REQ-KEY-SOD-02
 * @throws KeysteadError `rotation-order.*` with the statement's place.
 */
export function verifyRotationOrder(texts: readonly string[], policy: Policy, now: Date): Agreed<RotationOrder> {
  const agreed = verifyAgreement(KIND, texts, policy, now);
  requireEnough(KIND, agreed);
  return agreed;
}
