import { z } from 'zod';
import { canonicalJson, type JsonValue, toHex } from '../bytes/index.ts';
import { sha256 } from '../crypto/index.ts';
import { type ErrorCode, KeysteadError } from '../errors/index.ts';
import type { ApprovalQuorum } from './approval-quorum.ts';
import { parseDocumentOf } from './operator-document.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from './policy.ts';
import { type Permission, permits, ROLES } from './roles.ts';
import { type DocumentKind, requireOperatorSignature } from './signed-payload.ts';
import { type ProvenKey, requireHardware } from './signers/verify.ts';

export type { ApprovalQuorum } from './approval-quorum.ts';

const time = z.iso.datetime({ offset: false, precision: 0 });

/** What one person says of an order: that they ask for it, or that they agree. */
export const statementSchema = <O extends z.ZodType>(order: O) =>
  z.strictObject({
    v: z.literal(1),
    /** `propose` by the one who asks, `approve` by each of the others. */
    act: z.enum(['propose', 'approve']),
    order,
    /** Who asks. Every statement names the same person, so that nobody can approve what they asked for. */
    proposer: z.string().regex(OPERATOR_NAME, 'must be the name of an operator'),
    /** The role by which the signer signs. */
    role: z.enum(ROLES),
    /** UTC, whole seconds. */
    signedAt: time,
    expiresAt: time,
  });

/** A statement of an order of some kind. */
export type Statement<O> = Omit<z.output<ReturnType<typeof statementSchema>>, 'order'> & { order: O };

/** What tells one kind of order that one person asks for and others approve from another. */
export interface OrderKind<O> extends DocumentKind<Statement<O>> {
  readonly codes: DocumentKind<Statement<O>>['codes'] & {
    readonly otherOrder: ErrorCode;
    readonly expired: ErrorCode;
    readonly notYetValid: ErrorCode;
    readonly tooLong: ErrorCode;
    readonly self: ErrorCode;
    readonly duplicate: ErrorCode;
    readonly tooFew: ErrorCode;
  };
  /** To sign a statement of this kind at all, and to ask. */
  readonly permissions: { readonly sign: Permission; readonly propose: Permission };
  readonly quorum: (policy: Policy, order: O) => ApprovalQuorum;
}

/** An order with those who have signed it so far. */
export interface Agreed<O> {
  readonly order: O;
  readonly orderSha256: string;
  readonly proposer: string;
  readonly approvers: readonly string[];
  /** How many approvals the policy asks for. */
  readonly needed: number;
  /** The first of the times at which a statement ends. */
  readonly expiresAt: string;
}

/** A signer's clock may be ahead by this much. */
const CLOCK_SKEW_MS = 60_000;

/** SHA-256 of an order in its one encoding, hex: what an order is known by. */
export const orderSha256Of = (order: unknown): string =>
  toHex(sha256(Buffer.from(canonicalJson(order as JsonValue), 'utf8')));

/**
 * Verifies the statements of one order, the proposal first: each signed by an operator of `policy` who may, for the
 * very same order, now; the one who asks approves nothing, and a person and a key count once. Whether there are enough
 * is {@link requireEnough}. REQ-KEY-SOD-02
 * @throws KeysteadError the kind's codes with the statement's place.
 */
export function verifyAgreement<O>(kind: OrderKind<O>, texts: readonly string[], policy: Policy, now: Date): Agreed<O> {
  const statements = texts.map((text) => {
    const document = parseDocumentOf(kind, text);
    const who = { permission: kind.permissions.sign, policy };
    return { ...document, proven: requireOperatorSignature(kind, document.payload, document, who) };
  });
  const [first] = statements;
  if (first?.content.act !== 'propose') {
    throw new KeysteadError(kind.codes.malformed, { field: 'statements[0]', seen: 'no proposal' });
  }
  const { order, proposer } = first.content;
  const quorum = kind.quorum(policy, order);
  const orderSha256 = orderSha256Of(order);
  const seen = new Set<string>();
  statements.forEach(({ content, signer, proven }, index) => {
    const field = `statements[${index}]`;
    if (orderSha256Of(content.order) !== orderSha256 || content.proposer !== proposer) {
      throw new KeysteadError(kind.codes.otherOrder, { field: `${field}.order`, seen: `by ${signer}` });
    }
    requireTime(kind, content, policy, now, field);
    requirePart(kind, content, { signer, quorum, policy, field, first: index === 0 });
    if (index > 0) requireHeld(quorum, proven, signer, field);
    for (const mark of [`name ${signer}`, `key ${proven.key}`]) {
      if (seen.has(mark)) throw new KeysteadError(kind.codes.duplicate, { field: `${field}.signer`, seen: signer });
      seen.add(mark);
    }
  });
  return {
    order,
    orderSha256,
    proposer,
    approvers: statements.slice(1).map(({ signer }) => signer),
    needed: quorum.approvals,
    expiresAt: statements.map(({ content }) => content.expiresAt).reduce((a, b) => (a < b ? a : b)),
  };
}

/** @throws KeysteadError `approval.hardware-required`. */
function requireHeld({ hardware }: ApprovalQuorum, proven: ProvenKey, signer: string, field: string): void {
  if (hardware === true) requireHardware(proven, signer, `${field}.signature`);
}

/** @throws KeysteadError the kind's `tooFew`. */
export function requireEnough<O>(
  kind: OrderKind<O>,
  { approvers, needed, proposer }: Pick<Agreed<O>, 'approvers' | 'needed' | 'proposer'>,
): void {
  if (approvers.length >= needed) return;
  const seen = `${approvers.length} of ${needed} approvals, besides ${proposer} who asks`;
  throw new KeysteadError(kind.codes.tooFew, { field: 'statements', seen });
}

function requireTime<O>(
  { codes }: OrderKind<O>,
  { signedAt, expiresAt }: Statement<O>,
  policy: Policy,
  now: Date,
  field: string,
): void {
  if (Date.parse(expiresAt) <= now.getTime()) {
    throw new KeysteadError(codes.expired, { field: `${field}.expiresAt`, seen: expiresAt });
  }
  if (Date.parse(signedAt) > now.getTime() + CLOCK_SKEW_MS) {
    throw new KeysteadError(codes.notYetValid, { field: `${field}.signedAt`, seen: signedAt });
  }
  const seconds = (Date.parse(expiresAt) - Date.parse(signedAt)) / 1000;
  if (seconds > 0 && seconds <= policy.approvals.maxSeconds) return;
  const seen = `${seconds} s, where ${policy.approvals.maxSeconds} are the most`;
  throw new KeysteadError(codes.tooLong, { field: `${field}.expiresAt`, seen });
}

/** Whether the signer may do what the statement says they do. */
function requirePart<O>(
  { codes, permissions }: OrderKind<O>,
  { act, proposer, role }: Statement<O>,
  at: {
    readonly signer: string;
    readonly quorum: ApprovalQuorum;
    readonly policy: Policy;
    readonly field: string;
    readonly first: boolean;
  },
): void {
  const { signer, quorum, policy, field, first } = at;
  if (act !== (first ? 'propose' : 'approve')) {
    throw new KeysteadError(codes.malformed, { field: `${field}.act`, seen: act });
  }
  if (act === 'propose' && signer !== proposer) {
    throw new KeysteadError(codes.otherOrder, { field: `${field}.proposer`, seen: proposer });
  }
  if (act === 'approve' && signer === proposer) {
    throw new KeysteadError(codes.self, { field: `${field}.signer`, seen: signer });
  }
  const held = operatorOf(policy, signer)?.roles ?? [];
  const may = act === 'propose' ? permits([role], permissions.propose) : quorum.roles.includes(role);
  if (held.includes(role) && may) return;
  const seen = `${signer} as ${role}, who is ${held.join(', ')}`;
  throw new KeysteadError(codes.signerForbidden, { field: `${field}.role`, seen });
}
