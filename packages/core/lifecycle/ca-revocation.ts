import { z } from 'zod';
import { canonicalJson, toHex } from '../bytes/index.ts';
import { type Signer, sha256 } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { type IssuerId, isIssuerId } from './issuer.ts';
import {
  type DocumentKind,
  type OperatorDocument,
  parseDocumentOf,
  signDocumentOf,
  verifyDocumentOf,
} from './operator-document.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from './policy.ts';
import { permits, ROLES } from './roles.ts';

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

const StatementSchema = z.strictObject({
  v: z.literal(1),
  /** `propose` by the one who asks, `approve` by each of the others. */
  act: z.enum(['propose', 'approve']),
  order: OrderSchema,
  /** Who asks. Every statement names the same person, so that nobody can approve what they asked for. */
  proposer: z.string().regex(OPERATOR_NAME, 'must be the name of an operator'),
  /** The role by which the signer signs. */
  role: z.enum(ROLES),
  /** UTC, whole seconds. */
  signedAt: time,
  expiresAt: time,
});
export type CaRevocationStatement = z.infer<typeof StatementSchema>;

const KIND: DocumentKind<CaRevocationStatement> = {
  context: 'keystead CA revocation v1\n',
  name: 'statement',
  schema: StatementSchema,
  codes: {
    malformed: 'revocation-request.malformed',
    signerUnknown: 'revocation-request.signer-unknown',
    signerForbidden: 'revocation-request.signer-forbidden',
    signatureInvalid: 'revocation-request.signature-invalid',
  },
};

/** A signer's clock may be ahead by this much. */
const CLOCK_SKEW_MS = 60_000;

/**
 * Signs a statement of an order to revoke a CA between ceremonies. Returns one line of JSON. REQ-KEY-REV-01,
 * REQ-KEY-SOD-02
 * @throws KeysteadError `revocation-request.malformed` with the field.
 */
export const signCaRevocation = (
  draft: Omit<CaRevocationStatement, 'v'>,
  signerName: string,
  signer: Signer,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `revocation-request.malformed`. */
export const parseCaRevocation = (text: string): OperatorDocument<CaRevocationStatement> => parseDocumentOf(KIND, text);

/** SHA-256 of an order in its one encoding, hex: what an order is known by. */
export const caRevocationSha256 = (order: CaRevocationOrder): string =>
  toHex(sha256(Buffer.from(canonicalJson(order), 'utf8')));

/** An order that enough people have signed. */
export interface AgreedCaRevocation {
  readonly order: CaRevocationOrder;
  readonly orderSha256: string;
  readonly proposer: string;
  readonly approvers: readonly string[];
}

/**
 * Verifies the statements of one order, the proposal first: each signed by an operator of `policy` who may, for the
 * very same order, now; the one who asks approves nothing, a person and a key count once, and there are as many as the
 * policy asks for the revocation of a CA, in a demonstration too, for nothing takes it back. REQ-KEY-SOD-02
 * @throws KeysteadError `revocation-request.*` with the statement's place.
 */
export function verifyCaRevocation(texts: readonly string[], policy: Policy, now: Date): AgreedCaRevocation {
  const statements = texts.map((text) => verifyDocumentOf(KIND, text, 'revocation.sign', policy));
  const [first] = statements;
  if (first?.content.act !== 'propose') {
    throw new KeysteadError('revocation-request.malformed', { field: 'statements[0]', seen: 'no proposal' });
  }
  const { order, proposer } = first.content;
  const seen = new Set<string>();
  statements.forEach(({ content, signer }, index) => {
    const field = `statements[${index}]`;
    if (canonicalJson(content.order) !== canonicalJson(order) || content.proposer !== proposer) {
      throw new KeysteadError('revocation-request.other-order', { field: `${field}.order`, seen: `by ${signer}` });
    }
    requireTime(content, policy, now, field);
    requirePart(content, signer, index, policy);
    for (const mark of [`name ${signer}`, `key ${operatorOf(policy, signer)?.spki}`]) {
      if (seen.has(mark))
        throw new KeysteadError('revocation-request.duplicate', { field: `${field}.signer`, seen: signer });
      seen.add(mark);
    }
  });
  requireInvalidity(order, now);
  const { approvals } = policy.quorums['ca-revocation'];
  const approvers = statements.slice(1).map(({ signer }) => signer);
  if (approvers.length < approvals) {
    throw new KeysteadError('revocation-request.too-few', {
      field: 'statements',
      seen: `${approvers.length} of ${approvals} approvals, besides ${proposer} who asks`,
    });
  }
  return { order, orderSha256: caRevocationSha256(order), proposer, approvers };
}

function requireTime({ signedAt, expiresAt }: CaRevocationStatement, policy: Policy, now: Date, field: string): void {
  if (Date.parse(expiresAt) <= now.getTime()) {
    throw new KeysteadError('revocation-request.expired', { field: `${field}.expiresAt`, seen: expiresAt });
  }
  if (Date.parse(signedAt) > now.getTime() + CLOCK_SKEW_MS) {
    throw new KeysteadError('revocation-request.not-yet-valid', { field: `${field}.signedAt`, seen: signedAt });
  }
  const seconds = (Date.parse(expiresAt) - Date.parse(signedAt)) / 1000;
  if (seconds > 0 && seconds <= policy.approvals.maxSeconds) return;
  const seen = `${seconds} s, where ${policy.approvals.maxSeconds} are the most`;
  throw new KeysteadError('revocation-request.too-long', { field: `${field}.expiresAt`, seen });
}

/** Whether the signer may do what the statement says they do. */
function requirePart(
  { act, proposer, role }: CaRevocationStatement,
  signer: string,
  index: number,
  policy: Policy,
): void {
  const field = `statements[${index}]`;
  if (act !== (index === 0 ? 'propose' : 'approve')) {
    throw new KeysteadError('revocation-request.malformed', { field: `${field}.act`, seen: act });
  }
  if (act === 'propose' && signer !== proposer) {
    throw new KeysteadError('revocation-request.other-order', { field: `${field}.proposer`, seen: proposer });
  }
  if (act === 'approve' && signer === proposer) {
    throw new KeysteadError('revocation-request.self', { field: `${field}.signer`, seen: signer });
  }
  const held = operatorOf(policy, signer)?.roles ?? [];
  const may =
    act === 'propose' ? permits([role], 'revocation.propose') : policy.quorums['ca-revocation'].roles.includes(role);
  if (held.includes(role) && may) return;
  throw new KeysteadError('revocation-request.signer-forbidden', {
    field: `${field}.role`,
    seen: `${signer} as ${role}, who is ${held.join(', ')}`,
  });
}

function requireInvalidity({ invalidityDate }: CaRevocationOrder, now: Date): void {
  if (invalidityDate === undefined || Date.parse(invalidityDate) <= now.getTime()) return;
  throw new KeysteadError('revocation.invalidity-date', { field: 'invalidityDate', seen: invalidityDate });
}
