import { z } from 'zod';
import { canonicalJson, type Serial, type SpkiSha256, toHex } from '../bytes/index.ts';
import { type Signer, sha256 } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { REVOCATION_ACTS } from './certificate-states.ts';
import { isListedIssuer, type ListedIssuer } from './issuer.ts';
import {
  type DocumentKind,
  type OperatorDocument,
  parseDocumentOf,
  signDocumentOf,
  verifyDocumentOf,
} from './operator-document.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from './policy.ts';
import { GIVEN_REASONS, type RevocationSelectorKind } from './revocation-authority.ts';
import { type RevocationKind, revocationQuorum } from './revocation-rules.ts';
import { permits, ROLES } from './roles.ts';

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
export type RevocationStatement = z.infer<typeof StatementSchema>;
export type SignedRevocationStatement = OperatorDocument<RevocationStatement>;

const KIND: DocumentKind<RevocationStatement> = {
  context: 'keystead revocation statement v1\n',
  name: 'statement',
  // The brands of serials and hashes are types only: what is read is what is encoded.
  schema: StatementSchema as z.ZodType<RevocationStatement>,
  codes: {
    malformed: 'revocation-request.malformed',
    signerUnknown: 'revocation-request.signer-unknown',
    signerForbidden: 'revocation-request.signer-forbidden',
    signatureInvalid: 'revocation-request.signature-invalid',
  },
};

/** A signer's clock may be ahead by this much. */
const CLOCK_SKEW_MS = 60_000;

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
  signer: Signer,
): Promise<string> => signDocumentOf(KIND, { v: 1, ...draft }, signerName, signer);

/** Reads a statement; verifies nothing. @throws KeysteadError `revocation-request.malformed`. */
export const parseRevocationStatement = (text: string): SignedRevocationStatement => parseDocumentOf(KIND, text);

/** SHA-256 of an order in its one encoding, hex: what an order is known by. */
export const revocationOrderSha256 = (order: RevocationStatementOrder): string =>
  toHex(sha256(Buffer.from(canonicalJson(order), 'utf8')));

/** An order with those who have signed it so far. */
export interface AgreedRevocation {
  readonly order: RevocationStatementOrder;
  readonly orderSha256: string;
  readonly proposer: string;
  readonly approvers: readonly string[];
  /** How many approvals the policy asks for. */
  readonly needed: number;
  /** The first of the times at which a statement ends. */
  readonly expiresAt: string;
}

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
export function verifyRevocationStatements(texts: readonly string[], policy: Policy, now: Date): AgreedRevocation {
  const statements = texts.map((text) => verifyDocumentOf(KIND, text, 'revocation.sign', policy));
  const [first] = statements;
  if (first?.content.act !== 'propose') {
    throw new KeysteadError('revocation-request.malformed', { field: 'statements[0]', seen: 'no proposal' });
  }
  const { order, proposer } = first.content;
  const kind = kindOfOrder(order);
  const quorum = revocationQuorum(policy, kind);
  const signers = new Set<string>();
  const keys = new Set<string>();
  statements.forEach(({ content, signer }, index) => {
    const field = `statements[${index}]`;
    if (canonicalJson(content.order) !== canonicalJson(order) || content.proposer !== proposer) {
      throw new KeysteadError('revocation-request.other-order', { field: `${field}.order`, seen: `by ${signer}` });
    }
    requireTime(content, policy, now, field);
    requirePart(content, signer, index, quorum.roles, policy);
    const key = operatorOf(policy, signer)?.spki ?? '';
    if (signers.has(signer) || keys.has(key)) {
      throw new KeysteadError('revocation-request.duplicate', { field: `${field}.signer`, seen: signer });
    }
    signers.add(signer);
    keys.add(key);
  });
  return {
    order,
    orderSha256: revocationOrderSha256(order),
    proposer,
    approvers: statements.slice(1).map(({ signer }) => signer),
    needed: quorum.approvals,
    expiresAt: statements.map(({ content }) => content.expiresAt).reduce((a, b) => (a < b ? a : b)),
  };
}

/** @throws KeysteadError `revocation-request.too-few`. */
export function requireAgreed({ approvers, needed, proposer }: AgreedRevocation): void {
  if (approvers.length >= needed) return;
  throw new KeysteadError('revocation-request.too-few', {
    field: 'statements',
    seen: `${approvers.length} of ${needed} approvals, besides ${proposer} who asks`,
  });
}

function requireTime({ signedAt, expiresAt }: RevocationStatement, policy: Policy, now: Date, field: string): void {
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
  { act, proposer, role }: RevocationStatement,
  signer: string,
  index: number,
  approvers: readonly string[],
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
  const may = act === 'propose' ? permits([role], 'revocation.propose') : approvers.includes(role);
  if (held.includes(role) && may) return;
  throw new KeysteadError('revocation-request.signer-forbidden', {
    field: `${field}.role`,
    seen: `${signer} as ${role}, who is ${held.join(', ')}`,
  });
}
