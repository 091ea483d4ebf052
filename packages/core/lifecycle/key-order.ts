import { z } from 'zod';
import { canonicalJson, type SpkiSha256, sameBytes, toBase64url } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from './policy.ts';
import { permits } from './roles.ts';
import { firstIssue } from './schema-field.ts';
import { payloadFor } from './signers/held-bytes.ts';
import { ProofShape, proofMembers, prove, type StatementSigner } from './signers/proof.ts';
import { requireProof } from './signers/verify.ts';

/** What may be ordered of a key of keyd's. Generation, activation and destruction are acts of their own. */
export const KEY_CHANGES = ['suspend', 'resume', 'deactivate', 'compromise'] as const;
export type KeyChange = (typeof KEY_CHANGES)[number];

/** How old an order may be when it is carried out: long enough for people, too short to be kept for a bad day. */
const GOOD_FOR_MS = 3_600_000;
/** How far the clock of whoever signed it may be ahead. */
const AHEAD_MS = 120_000;

const OrderSchema = z.strictObject({
  v: z.literal(1),
  /** Which key: names are given again, hashes are not. */
  spkiSha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex')
    .transform((hex) => hex as SpkiSha256),
  change: z.enum(KEY_CHANGES),
  /** How many changes the key has had: an order is for one moment, and is never carried out twice. */
  after: z.int().min(0),
  reason: z.string().min(1).max(200),
  /** UTC, whole seconds. */
  at: z.iso.datetime({ offset: false, precision: 0 }),
});

/** An operator's order to change the state of one of keyd's keys. */
export type KeyOrder = z.infer<typeof OrderSchema>;
export type KeyOrderDraft = Omit<KeyOrder, 'v' | 'at'> & { readonly at: Date };

const EnvelopeSchema = z.strictObject({
  /** RFC 8785 canonical JSON, base64url. */
  payload: z.string().max(4096),
  signer: z.string().regex(OPERATOR_NAME),
  ...ProofShape,
});

/** An order whose signature and signer are verified. */
export interface SignedKeyOrder {
  readonly order: KeyOrder;
  readonly signer: string;
}

/** What goes before the payload, so that this signature is never one of something else by the same key. */
const CONTEXT = 'keystead key order v1\n';
const signedBytes = (payload: Uint8Array): Uint8Array => Buffer.concat([Buffer.from(CONTEXT, 'latin1'), payload]);
const encode = (order: KeyOrder): Uint8Array => Buffer.from(canonicalJson(order), 'utf8');

/**
 * Signs an order. Returns one line of JSON. REQ-KEY-POL-01
 * @param signerName the operator whose key `signer` is, as the policy names them.
 * @throws KeysteadError `key-order.malformed` with the field.
 */
export async function signKeyOrder(draft: KeyOrderDraft, signerName: string, signer: StatementSigner): Promise<string> {
  const at = `${draft.at.toISOString().slice(0, 19)}Z`;
  const payload = payloadFor(signer, CONTEXT, encode(check({ ...draft, v: 1, at })));
  const proof = await prove(signer, signedBytes(payload));
  return JSON.stringify({ payload: toBase64url(payload), signer: signerName, ...proofMembers(proof) });
}

/**
 * Verifies who signed an order and whether their role lets them, and that it is of the present. Whether it fits the
 * key is for whoever holds the key.
 * @throws KeysteadError `key-order.malformed`, `key-order.signer-forbidden`, `key-order.signature-invalid`,
 *   `key-order.stale`.
 */
export function verifyKeyOrder(text: string, policy: Policy, now: Date): SignedKeyOrder {
  const envelope = EnvelopeSchema.safeParse(jsonOf(text, 'order'));
  if (!envelope.success) throw malformed(firstIssue(envelope.error, 'order'), envelope.error);
  const { signer } = envelope.data;
  const payload = fromBase64url(envelope.data.payload, 'payload');
  const order = check(jsonOf(Buffer.from(payload).toString('utf8'), 'payload'));
  // What two readers could read differently is refused: an order has one encoding only.
  if (!sameBytes(payload, encode(order))) throw malformed({ field: 'payload', seen: 'another encoding of the order' });
  const operator = operatorOf(policy, signer);
  if (operator === undefined || !permits(operator.roles, permissionFor(order.change))) {
    const seen =
      operator === undefined
        ? `${signer}, who does not stand in the policy`
        : `${signer}: ${operator.roles.join(', ')}`;
    throw new KeysteadError('key-order.signer-forbidden', { field: order.change, seen });
  }
  const proof = { by: envelope.data.by, signature: fromBase64url(envelope.data.signature, 'signature') };
  const otherwise = { code: 'key-order.signature-invalid', field: 'signature' } as const;
  requireProof(operator, policy.algorithms, signedBytes(payload), proof, otherwise);
  const age = now.getTime() - Date.parse(order.at);
  if (age > GOOD_FOR_MS || age < -AHEAD_MS) throw new KeysteadError('key-order.stale', { field: 'at', seen: order.at });
  return { order, signer };
}

/** To stop a key is safe and urgent; to bring it back is neither, and another role's. */
export const permissionFor = (change: KeyChange): 'key.stop' | 'key.resume' =>
  change === 'resume' ? 'key.resume' : 'key.stop';

function check(value: unknown): KeyOrder {
  const parsed = OrderSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw malformed(firstIssue(parsed.error, 'order'), parsed.error);
}

const malformed = (facts: { field: string; seen: string }, cause?: unknown): KeysteadError =>
  new KeysteadError('key-order.malformed', { ...facts, cause });

function jsonOf(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed({ field, seen: 'something that is not JSON' });
  }
}

function fromBase64url(text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed({ field, seen: 'something that is not base64url' });
  return bytes;
}
