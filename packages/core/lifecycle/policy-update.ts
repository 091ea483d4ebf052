import { canonicalJson, type JsonValue, toHex } from '../bytes/index.ts';
import { sha256 } from '../crypto/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { operatorOf, type Policy } from './policy.ts';
import { parsePolicy } from './policy-check.ts';
import { type PolicyStatement, parseStatements, verifyStatement } from './policy-statement.ts';
import { permits, type Role } from './roles.ts';
import { requireHardware } from './signers/verify.ts';

/** A policy with the very bytes of its file. */
export interface PolicyFile {
  readonly policy: Policy;
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, hex. */
  readonly sha256: string;
}

/** Reads a policy's file. @throws KeysteadError `policy.*`. */
export const policyFile = (bytes: Uint8Array): PolicyFile => ({
  policy: parsePolicy(bytes),
  bytes,
  sha256: toHex(sha256(bytes)),
});

/** Who agreed to a policy. */
export interface Agreement {
  readonly proposer: string;
  readonly approvers: readonly { readonly name: string; readonly role: Role; readonly signedAt: string }[];
}

/** A signer's clock may be ahead of keyd's by this much. */
const CLOCK_SKEW_MS = 60_000;

/**
 * Whether `next` may follow `current`: its version is the next one, it changes nothing that only a ceremony can, and
 * the quorum of `current` has signed it. Everything is judged by the policy in force, for whoever could write the new
 * one could put themselves into it. REQ-KEY-POL-01, REQ-KEY-SOD-02
 * @param approvals the text of the approvals file.
 * @param at the time that the statements must be valid at.
 * @throws KeysteadError `policy.version-used`, `policy.version-skips`, `policy.only-ceremony`, `approval.*`.
 */
export function verifyUpdate(current: PolicyFile, next: PolicyFile, approvals: string, at: Date): Agreement {
  requireNextVersion(current.policy, next.policy);
  requireSameFoundation(current.policy, next.policy);
  return verifyQuorum(current, next, approvals, at);
}

/** @throws KeysteadError `policy.version-used`, `policy.version-skips`. */
export function requireNextVersion(current: Policy, next: Policy): void {
  if (next.version === current.version + 1) return;
  const code = next.version <= current.version ? 'policy.version-used' : 'policy.version-skips';
  throw new KeysteadError(code, { field: 'version', seen: `${next.version}, after ${current.version}` });
}

/** Profiles of certificates that a ceremony made: a policy that says otherwise would say what is not so. */
const isFounded = (id: string): boolean => id.endsWith('-ca') || id === 'evidence-signer' || id === 'transcript-signer';

/**
 * What only a ceremony can change: the CAs and what they were certified for, and whether it is a demonstration, for
 * the keys of one stay what they are.
 * @throws KeysteadError `policy.only-ceremony` with the field.
 */
export function requireSameFoundation(current: Policy, next: Policy): void {
  if (next.demonstration !== current.demonstration) {
    throw new KeysteadError('policy.only-ceremony', { field: 'demonstration', seen: String(next.demonstration) });
  }
  for (const [index, profile] of next.profiles.entries()) {
    if (!isFounded(profile.id)) continue;
    const before = current.profiles.find((candidate) => candidate.id === profile.id);
    if (before !== undefined && sameJson(before, profile)) continue;
    throw new KeysteadError('policy.only-ceremony', {
      field: `profiles[${index}]`,
      seen: `another '${profile.id}' than the ceremony certified`,
    });
  }
}

/** Whether two values of a policy say the same, whatever the order of their members. */
export const sameJson = (a: unknown, b: unknown): boolean =>
  canonicalJson(a as JsonValue) === canonicalJson(b as JsonValue);

function verifyQuorum(current: PolicyFile, next: PolicyFile, approvals: string, at: Date): Agreement {
  const signed = parseStatements(approvals);
  const proposal = signed.find(({ statement }) => statement.act === 'propose');
  if (proposal === undefined) {
    throw new KeysteadError('approval.proposal-missing', { field: 'statements', seen: `${signed.length} without one` });
  }
  const { proposer } = proposal.statement;
  const names = new Set<string>();
  const keys = new Set<string>();
  const approvers: { name: string; role: Role; signedAt: string }[] = [];
  signed.forEach((one, index) => {
    const { statement } = one;
    const field = `statements[${index}]`;
    const proven = verifyStatement(one, current.policy);
    requireThisStep(statement, current, next, field);
    requireTime(statement, current.policy, at, field);
    requirePart(statement, proposer, current.policy, field);
    if (current.policy.quorums['policy-change'].hardware === true && statement.act === 'approve') {
      requireHardware(proven, statement.signer, `${field}.signature`);
    }
    if (names.has(statement.signer) || keys.has(proven.key)) {
      throw new KeysteadError('approval.duplicate', { field: `${field}.signer`, seen: statement.signer });
    }
    names.add(statement.signer);
    keys.add(proven.key);
    const { signer, role, signedAt } = statement;
    if (statement.act === 'approve') approvers.push({ name: signer, role, signedAt });
  });
  const needed = current.policy.quorums['policy-change'].approvals;
  if (approvers.length < needed) {
    throw new KeysteadError('approval.too-few', {
      field: 'statements',
      seen: `${approvers.length} of ${needed} approvals, besides ${proposer} who proposed it`,
    });
  }
  return { proposer, approvers };
}

/** A statement is about one policy, after one policy: another's, or one of an earlier try, is worth nothing here. */
function requireThisStep(statement: PolicyStatement, current: PolicyFile, next: PolicyFile, field: string): void {
  const different =
    (statement.policySha256 !== next.sha256 && 'policySha256') ||
    (statement.version !== next.policy.version && 'version') ||
    (statement.previousSha256 !== current.sha256 && 'previousSha256');
  if (different === false) return;
  throw new KeysteadError('approval.other-policy', {
    field: `${field}.${different}`,
    seen: `${statement[different]} by ${statement.signer}`,
  });
}

function requireTime(statement: PolicyStatement, policy: Policy, at: Date, field: string): void {
  const { signer, signedAt, expiresAt } = statement;
  if (Date.parse(expiresAt) <= at.getTime()) {
    throw new KeysteadError('approval.expired', {
      field: `${field}.expiresAt`,
      seen: `${expiresAt} by ${signer}, now ${at.toISOString()}`,
    });
  }
  if (Date.parse(signedAt) > at.getTime() + CLOCK_SKEW_MS) {
    throw new KeysteadError('approval.not-yet-valid', {
      field: `${field}.signedAt`,
      seen: `${signedAt} by ${signer}, now ${at.toISOString()}`,
    });
  }
  const seconds = (Date.parse(expiresAt) - Date.parse(signedAt)) / 1000;
  if (seconds <= policy.approvals.maxSeconds) return;
  throw new KeysteadError('approval.too-long', {
    field: `${field}.expiresAt`,
    seen: `${seconds} s by ${signer}, where ${policy.approvals.maxSeconds} are the most`,
  });
}

/** Whether the signer may do what the statement says they do. */
function requirePart(statement: PolicyStatement, proposer: string, policy: Policy, field: string): void {
  const { act, signer, role } = statement;
  if (statement.proposer !== proposer) {
    throw new KeysteadError('approval.proposer-differs', {
      field: `${field}.proposer`,
      seen: `${statement.proposer}, where the proposal is by ${proposer}`,
    });
  }
  if (act === 'propose' && signer !== statement.proposer) {
    throw new KeysteadError('approval.proposer-differs', { field: `${field}.signer`, seen: signer });
  }
  if (act === 'approve' && signer === proposer) {
    throw new KeysteadError('approval.self', { field: `${field}.signer`, seen: signer });
  }
  const held = operatorOf(policy, signer)?.roles ?? [];
  const may =
    act === 'propose' ? permits([role], 'policy.propose') : policy.quorums['policy-change'].roles.includes(role);
  if (held.includes(role) && may) return;
  throw new KeysteadError('approval.signer-forbidden', {
    field: `${field}.role`,
    seen: `${signer} as ${role}, who is ${held.join(', ')}`,
  });
}
