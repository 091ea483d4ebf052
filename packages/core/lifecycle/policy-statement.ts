import { z } from 'zod';
import { canonicalJson, sameBytes, toBase64url } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { OPERATOR_NAME, operatorOf, type Policy } from './policy.ts';
import { ROLES } from './roles.ts';
import { firstIssue } from './schema-field.ts';
import { payloadFor } from './signers/held-bytes.ts';
import { type Proof, ProofShape, proofMembers, prove, type StatementSigner } from './signers/proof.ts';
import { type ProvenKey, requireProof } from './signers/verify.ts';

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in lower-case hex');
const name = z.string().regex(OPERATOR_NAME, 'must be the name of an operator');
const time = z.iso.datetime({ offset: false, precision: 0 });

const StatementSchema = z.strictObject({
  v: z.literal(1),
  /** `propose` by the one who asks, `approve` by each of the others. */
  act: z.enum(['propose', 'approve']),
  /** SHA-256 of the bytes of the file of the policy that is asked for. */
  policySha256: hash,
  /** Its version. */
  version: z.int().min(1),
  /** SHA-256 of the policy in force: a statement is for this one step and for no other. */
  previousSha256: hash,
  /** Who asks. Every statement names the same person, so that nobody can approve what they asked for. */
  proposer: name,
  signer: name,
  /** The role by which the signer signs. */
  role: z.enum(ROLES),
  /** UTC, whole seconds. */
  signedAt: time,
  expiresAt: time,
});
export type PolicyStatement = z.infer<typeof StatementSchema>;

const EnvelopeSchema = z.strictObject({
  /** The statement's JSON in its one form (RFC 8785), base64url. */
  payload: z.string().max(4096),
  ...ProofShape,
});

/** A policy needs at most 16 approvals. */
const MOST_STATEMENTS = 32;
const FileSchema = z.strictObject({ v: z.literal(1), statements: z.array(EnvelopeSchema).max(MOST_STATEMENTS) });

/** A statement as it was read, whose signature is not yet verified. */
export interface SignedStatement extends Proof {
  readonly statement: PolicyStatement;
  readonly payload: Uint8Array;
}

/** What goes before the payload, so that this signature is never one of something else by the same key. */
const CONTEXT = 'keystead policy statement v1\n';

/** The bytes that are signed: this context line and the payload. */
export const statementBytes = (payload: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(CONTEXT, 'latin1'), payload]);

/**
 * Signs a statement with an operator's key.
 * @throws KeysteadError `approval.malformed` with the field, `approval.bytes-differ`.
 */
export async function signStatement(
  statement: Omit<PolicyStatement, 'v'>,
  signer: StatementSigner,
): Promise<SignedStatement> {
  const payload = payloadFor(signer, CONTEXT, encode(check({ v: 1, ...statement })));
  return { ...readPayload(payload, 'payload'), ...(await prove(signer, statementBytes(payload))) };
}

/** The approvals file that lies beside a policy: JSON, UTF-8, the statements in the order in which they were given. */
export function formatStatements(statements: readonly SignedStatement[]): string {
  const envelopes = statements.map(({ payload, by, signature }) => ({
    payload: toBase64url(payload),
    ...proofMembers({ by, signature }),
  }));
  return `${JSON.stringify({ v: 1, statements: envelopes }, null, 2)}\n`;
}

/**
 * Reads an approvals file; verifies nothing. A statement has one encoding only.
 * @throws KeysteadError `approval.malformed` with the field.
 */
export function parseStatements(text: string): SignedStatement[] {
  const file = FileSchema.safeParse(jsonOf(text, 'approvals'));
  if (!file.success) throw malformed(firstIssue(file.error, 'approvals'), file.error);
  return file.data.statements.map((envelope, index) => {
    const field = `statements[${index}]`;
    const read = readPayload(fromBase64url(envelope.payload, `${field}.payload`), `${field}.payload`);
    return { ...read, by: envelope.by, signature: fromBase64url(envelope.signature, `${field}.signature`) };
  });
}

function readPayload(payload: Uint8Array, field: string): Pick<SignedStatement, 'statement' | 'payload'> {
  const statement = check(jsonOf(utf8Of(payload, field), field), field);
  if (sameBytes(payload, encode(statement))) return { statement, payload };
  throw malformed({ field, seen: 'another encoding of the statement' });
}

/**
 * Verifies that the operator whom a statement names has signed it, with a key that stands in `policy`.
 * @returns the key.
 * @throws KeysteadError `approval.signer-unknown`, `approval.signature-invalid`, `key.*` for a key that is unfit.
 */
export function verifyStatement({ statement, payload, ...proof }: SignedStatement, policy: Policy): ProvenKey {
  const operator = operatorOf(policy, statement.signer);
  if (operator === undefined) {
    throw new KeysteadError('approval.signer-unknown', { field: 'signer', seen: statement.signer });
  }
  const otherwise = { code: 'approval.signature-invalid', field: 'signature' } as const;
  return requireProof(operator, policy.algorithms, statementBytes(payload), proof, otherwise);
}

const encode = (statement: PolicyStatement): Uint8Array => Buffer.from(canonicalJson(statement), 'utf8');

function check(value: unknown, whole = 'statement'): PolicyStatement {
  const parsed = StatementSchema.safeParse(value);
  if (!parsed.success) throw malformed(firstIssue(parsed.error, whole), parsed.error);
  if (parsed.data.signedAt >= parsed.data.expiresAt) {
    throw malformed({ field: 'expiresAt', seen: `${parsed.data.expiresAt}, which is not after signedAt` });
  }
  return parsed.data;
}

const malformed = (facts: { field: string; seen: string }, cause?: unknown): KeysteadError =>
  new KeysteadError('approval.malformed', { ...facts, cause });

function jsonOf(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed({ field, seen: 'something that is not JSON' });
  }
}

function utf8Of(bytes: Uint8Array, field: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed({ field, seen: 'bytes that are not UTF-8' });
  }
}

function fromBase64url(text: string, field: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text, 'base64url'));
  if (toBase64url(bytes) !== text) throw malformed({ field, seen: 'something that is not base64url' });
  return bytes;
}
