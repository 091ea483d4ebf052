import { z } from 'zod';
import { canonicalJson, toHex } from '../../bytes/index.ts';
import { type Signer, sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { Quorum } from '../keying.ts';
import {
  type DocumentKind,
  type OperatorDocument,
  parseDocumentOf,
  signDocumentOf,
  verifyDocumentOf,
} from '../operator-document.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from '../policy.ts';
import { permits, ROLES } from '../roles.ts';
import { deviceIdPrefix, documentId, hash, serverName, wholeSecond } from './fields.ts';
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

const StatementSchema = z.strictObject({
  v: z.literal(1),
  /** `propose` by the one who asks, `approve` by each of the others. */
  act: z.enum(['propose', 'approve']),
  order: OrderSchema,
  /** Who asks. Every statement names the same person, so that nobody can approve what they asked for. */
  proposer: z.string().regex(OPERATOR_NAME, 'must be the name of an operator'),
  /** The role by which the signer signs. */
  role: z.enum(ROLES),
  signedAt: wholeSecond,
  expiresAt: wholeSecond,
});
export type CommissionStatement = z.infer<typeof StatementSchema>;

const KIND: DocumentKind<CommissionStatement> = {
  context: 'keystead factory commission statement v1\n',
  name: 'statement',
  schema: StatementSchema,
  codes: {
    malformed: 'commission.malformed',
    signerUnknown: 'commission.signer-unknown',
    signerForbidden: 'commission.signer-forbidden',
    signatureInvalid: 'commission.signature-invalid',
  },
};

/** A signer's clock may be ahead by this much. */
const CLOCK_SKEW_MS = 60_000;

/** An order with those who have signed it. */
export interface AgreedCommission {
  readonly order: CommissionOrder;
  readonly orderSha256: string;
  readonly proposer: string;
  readonly approvers: readonly string[];
}

/** How many people the commission of a factory takes. */
export const commissionQuorum = (policy: Policy): Quorum => policy.quorums['ca-rotation'];

export const commissionOrderSha256 = (order: CommissionOrder): string =>
  toHex(sha256(Buffer.from(canonicalJson(order), 'utf8')));

/** Signs a statement. Returns one line of JSON. @throws KeysteadError `commission.malformed` with the field. */
export const signCommissionStatement = (
  draft: Omit<CommissionStatement, 'v'>,
  signerName: string,
  signer: Signer,
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
  const statements = texts.map((text) => verifyDocumentOf(KIND, text, 'factory.sign', policy));
  const [first] = statements;
  if (first?.content.act !== 'propose') {
    throw new KeysteadError('commission.malformed', { field: 'statements[0]', seen: 'no proposal' });
  }
  const { order, proposer } = first.content;
  const quorum = commissionQuorum(policy);
  const signers = new Set<string>();
  const keys = new Set<string>();
  statements.forEach(({ content, signer }, index) => {
    const field = `statements[${index}]`;
    if (canonicalJson(content.order) !== canonicalJson(order) || content.proposer !== proposer) {
      throw new KeysteadError('commission.other-order', { field: `${field}.order`, seen: `by ${signer}` });
    }
    requireTime(content, policy, now, field);
    requirePart(content, signer, index, quorum, policy);
    const key = operatorOf(policy, signer)?.spki ?? '';
    if (signers.has(signer) || keys.has(key)) {
      throw new KeysteadError('commission.duplicate', { field: `${field}.signer`, seen: signer });
    }
    signers.add(signer);
    keys.add(key);
  });
  const approvers = statements.slice(1).map(({ signer }) => signer);
  if (approvers.length < quorum.approvals) {
    const seen = `${approvers.length} of ${quorum.approvals} approvals, besides ${proposer} who asks`;
    throw new KeysteadError('commission.too-few', { field: 'statements', seen });
  }
  return { order, orderSha256: commissionOrderSha256(order), proposer, approvers };
}

function requireTime({ signedAt, expiresAt }: CommissionStatement, policy: Policy, now: Date, field: string): void {
  if (Date.parse(expiresAt) <= now.getTime()) {
    throw new KeysteadError('commission.expired', { field: `${field}.expiresAt`, seen: expiresAt });
  }
  if (Date.parse(signedAt) > now.getTime() + CLOCK_SKEW_MS) {
    throw new KeysteadError('commission.not-yet-valid', { field: `${field}.signedAt`, seen: signedAt });
  }
  const seconds = (Date.parse(expiresAt) - Date.parse(signedAt)) / 1000;
  if (seconds > 0 && seconds <= policy.approvals.maxSeconds) return;
  const seen = `${seconds} s, where ${policy.approvals.maxSeconds} are the most`;
  throw new KeysteadError('commission.too-long', { field: `${field}.expiresAt`, seen });
}

/** Whether the signer may do what the statement says they do. */
function requirePart(
  { act, proposer, role }: CommissionStatement,
  signer: string,
  index: number,
  quorum: Quorum,
  policy: Policy,
): void {
  const field = `statements[${index}]`;
  if (act !== (index === 0 ? 'propose' : 'approve')) {
    throw new KeysteadError('commission.malformed', { field: `${field}.act`, seen: act });
  }
  if (act === 'propose' && signer !== proposer) {
    throw new KeysteadError('commission.other-order', { field: `${field}.proposer`, seen: proposer });
  }
  if (act === 'approve' && signer === proposer) {
    throw new KeysteadError('commission.self', { field: `${field}.signer`, seen: signer });
  }
  const held = operatorOf(policy, signer)?.roles ?? [];
  const may = act === 'propose' ? permits([role], 'factory.propose') : quorum.roles.includes(role);
  if (held.includes(role) && may) return;
  const seen = `${signer} as ${role}, who is ${held.join(', ')}`;
  throw new KeysteadError('commission.signer-forbidden', { field: `${field}.role`, seen });
}
