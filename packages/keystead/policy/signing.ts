import { existsSync, readFileSync } from 'node:fs';
import { KeysteadError } from '@keystead/core/errors';
import {
  formatStatements,
  operatorOf,
  type Policy,
  type PolicyFile,
  type PolicyStatement,
  parseStatements,
  permits,
  type Role,
  requireNextVersion,
  requireSameFleet,
  requireSameFoundation,
  requireTransition,
  type SignedStatement,
  type StatementSigner,
  signStatement,
  verifyStatement,
} from '@keystead/core/lifecycle';
import { durableWrite } from '../files/durable.ts';

export interface SigningOrder {
  readonly current: PolicyFile;
  readonly next: PolicyFile;
  /** The approvals file. */
  readonly path: string;
  /** The operator who signs, as the policy in force names them. */
  readonly name: string;
  readonly signer: StatementSigner;
  readonly now: Date;
  /** How long the statement holds. */
  readonly seconds: number;
}

/** Where the approvals of a policy lie: beside it. */
export const approvalsPathOf = (policyPath: string): string => `${policyPath}.approvals.json`;

/**
 * Signs that this operator asks for a policy, and begins its approvals file.
 * @throws KeysteadError `approval.proposal-exists`, and what keyd would refuse: `policy.version-*`,
 *   `policy.only-ceremony`, `approval.*`. Nothing is written then.
 */
export async function propose(order: SigningOrder): Promise<PolicyStatement> {
  const { path, name } = order;
  if (existsSync(path)) throw new KeysteadError('approval.proposal-exists', { field: path });
  return sign(order, 'propose', name, []);
}

/**
 * Adds this operator's approval to the approvals file of a proposal.
 * @throws KeysteadError `approval.proposal-missing`, `approval.self`, `approval.duplicate`, and as {@link propose}.
 */
export async function approve(order: SigningOrder): Promise<PolicyStatement> {
  const { path, name, current, next } = order;
  const earlier = existsSync(path) ? parseStatements(readFileSync(path, 'utf8')) : [];
  const proposal = earlier.find(({ statement }) => statement.act === 'propose');
  if (proposal === undefined) throw new KeysteadError('approval.proposal-missing', { field: path });
  verifyStatement(proposal, current.policy);
  const { proposer, policySha256 } = proposal.statement;
  if (policySha256 !== next.sha256) {
    throw new KeysteadError('approval.other-policy', { field: path, seen: `a proposal of ${policySha256}` });
  }
  if (name === proposer) throw new KeysteadError('approval.self', { field: 'signer', seen: name });
  if (earlier.some(({ statement }) => statement.signer === name)) {
    throw new KeysteadError('approval.duplicate', { field: 'signer', seen: name });
  }
  return sign(order, 'approve', proposer, earlier);
}

async function sign(
  order: SigningOrder,
  act: PolicyStatement['act'],
  proposer: string,
  earlier: readonly SignedStatement[],
): Promise<PolicyStatement> {
  const { current, next, path, name, signer, now, seconds } = order;
  requireNextVersion(current.policy, next.policy);
  requireSameFoundation(current.policy, next.policy);
  requireTransition(current.policy, next.policy);
  requireSameFleet(current.policy.trust?.fleet, next.policy);
  if (seconds > current.policy.approvals.maxSeconds) {
    throw new KeysteadError('approval.too-long', {
      field: 'expiresAt',
      seen: `${seconds} s, where ${current.policy.approvals.maxSeconds} are the most`,
    });
  }
  const signed = await signStatement(
    {
      act,
      policySha256: next.sha256,
      version: next.policy.version,
      previousSha256: current.sha256,
      proposer,
      signer: name,
      role: roleFor(act, name, current.policy),
      signedAt: wholeSeconds(now.getTime()),
      expiresAt: wholeSeconds(now.getTime() + seconds * 1000),
    },
    signer,
  );
  // With the key of somebody else, or an old one, keyd would refuse it: better now than in front of it.
  verifyStatement(signed, current.policy);
  durableWrite(path, formatStatements([...earlier, signed]), 0o644);
  return signed.statement;
}

/** The first role that the operator holds and that lets them do this. */
function roleFor(act: PolicyStatement['act'], name: string, policy: Policy): Role {
  const operator = operatorOf(policy, name);
  if (operator === undefined) throw new KeysteadError('approval.signer-unknown', { field: 'signer', seen: name });
  const may = (role: Role): boolean =>
    act === 'propose' ? permits([role], 'policy.propose') : policy.quorums['policy-change'].roles.includes(role);
  const role = operator.roles.find(may);
  if (role !== undefined) return role;
  throw new KeysteadError('approval.signer-forbidden', {
    field: 'role',
    seen: `${name}, who is ${operator.roles.join(', ')}`,
  });
}

const wholeSeconds = (ms: number): string => new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');
