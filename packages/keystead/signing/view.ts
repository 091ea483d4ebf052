import type { FirmwareReading } from '@keystead/core/firmware';
import { type FirmwareOrder, firmwareQuorum, parseFirmwareStatement } from '@keystead/core/lifecycle';
import type { SigningRequestRow, SigningState } from '../store/index.ts';
import type { SigningDeps } from './deps.ts';
import type { DocumentReading } from './documents.ts';
import type { ScanNotes } from './private-keys.ts';
import type { Reading } from './submission.ts';

/** A request as it stands. */
export interface RequestView {
  readonly id: string;
  readonly state: SigningState;
  /** What each statement signs. */
  readonly order: FirmwareOrder;
  readonly orderSha256: string;
  /** What the format read in the image. */
  readonly shown: FirmwareReading['shown'];
  readonly documents: readonly DocumentReading[];
  readonly scan: ScanNotes;
  readonly submittedBy: string;
  readonly proposer: string | null;
  readonly approvers: readonly string[];
  /** How many approvals the policy asks for, and of whom; null where the policy no longer has the product. */
  readonly needed: number | null;
  readonly roles: readonly string[];
  readonly expiresAt: string | null;
  /** Why what is approved is not signed yet. */
  readonly late: string | null;
  /** Why it was refused. */
  readonly refusal: string | null;
  readonly result: { readonly sha256: string; readonly bytes: number } | null;
  /** As they were signed, the proposal first: whoever approves signs the order of the first. */
  readonly statements: readonly string[];
  readonly createdAt: string;
  readonly changedAt: string;
}

export const statementsOf = ({ statements }: Pick<SigningRequestRow, 'statements'>): string[] =>
  JSON.parse(statements) as string[];

export function viewOf(
  row: SigningRequestRow,
  { policy, clock }: Pick<SigningDeps, 'policy' | 'clock'>,
): Omit<RequestView, 'late'> {
  const order = JSON.parse(row.order) as FirmwareOrder;
  const { shown, documents, scan } = JSON.parse(row.reading) as Reading;
  const statements = statementsOf(row);
  const signers = statements.map((text) => parseFirmwareStatement(text).signer);
  const expired = row.state === 'waiting' && row.expiresAt !== null && row.expiresAt <= clock.now().getTime();
  return {
    id: row.id,
    state: expired ? 'expired' : row.state,
    ...{ order, orderSha256: row.orderSha256, shown, documents, scan, statements },
    submittedBy: row.actor,
    proposer: signers[0] ?? null,
    approvers: signers.slice(1),
    ...quorumOf(policy, order),
    expiresAt: row.expiresAt === null ? null : new Date(row.expiresAt).toISOString(),
    refusal: row.refusal,
    result: row.resultSha256 === null ? null : { sha256: row.resultSha256, bytes: row.resultBytes ?? 0 },
    createdAt: new Date(row.createdAt).toISOString(),
    changedAt: new Date(row.changedAt).toISOString(),
  };
}

function quorumOf(policy: SigningDeps['policy'], order: FirmwareOrder): Pick<RequestView, 'needed' | 'roles'> {
  try {
    const { approvals, roles } = firmwareQuorum(policy, order);
    return { needed: approvals, roles };
  } catch {
    return { needed: null, roles: [] };
  }
}
