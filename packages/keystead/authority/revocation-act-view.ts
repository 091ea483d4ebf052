import {
  type Policy,
  parseRevocationStatement,
  type RevocationAct,
  type RevocationSelector,
  revocationQuorum,
} from '@keystead/core/lifecycle';
import type { RevocationActRow, RevocationActState } from '../store/index.ts';
import type { FinalReason } from './certificate-changes.ts';
import { statementsOf } from './revocation-run.ts';

/** An act as it stands. */
export interface ActView {
  readonly id: string;
  readonly act: RevocationAct;
  readonly selector: RevocationSelector;
  readonly reason: FinalReason | null;
  readonly invalidityDate: string | null;
  readonly state: RevocationActState | 'expired';
  /** What the statements bind. */
  readonly count: number;
  readonly listSha256: string;
  readonly proposer: string;
  readonly approvers: readonly string[];
  /** How many approvals the policy asks for. */
  readonly needed: number;
  readonly roles: readonly string[];
  readonly expiresAt: string | null;
  /** Changed so far. */
  readonly certificates: number;
  readonly devices: number;
  /** The statements as they were signed: whoever approves signs the order of the first. */
  readonly statements: readonly string[];
}

/** @param now milliseconds since 1970. */
export function actView(row: RevocationActRow, policy: Policy, now: number): ActView {
  const statements = statementsOf(row);
  const signers = statements.map((text) => parseRevocationStatement(text).signer);
  const selector = JSON.parse(row.selector) as RevocationSelector;
  const [act, reason] = [row.act as RevocationAct, (row.reason ?? undefined) as FinalReason | undefined];
  const { approvals: needed, roles } = revocationQuorum(policy, { selector: selector.kind, act, reason });
  const expired = row.state === 'proposed' && row.expiresAt !== null && row.expiresAt <= now;
  return {
    ...{ id: row.id, act, selector, reason: reason ?? null, needed, roles, statements },
    invalidityDate: row.invalidityAt === null ? null : new Date(row.invalidityAt).toISOString(),
    state: expired ? 'expired' : row.state,
    ...{ count: row.count, listSha256: row.listSha256, certificates: row.certificates, devices: row.devices },
    proposer: signers[0] ?? row.actor.replace('operator:', ''),
    approvers: signers.slice(1),
    expiresAt: row.expiresAt === null ? null : new Date(row.expiresAt).toISOString(),
  };
}
