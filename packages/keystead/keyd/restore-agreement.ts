import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import {
  type Policy,
  parseRestoreStatement,
  type RestoreOrder,
  restoreOrderSha256,
  verifyRestoreOrder,
} from '@keystead/core/lifecycle';
import type { JournalDraft } from './journal-entry.ts';
import type { RestoreAgreedJournalEntry } from './restore-entries.ts';
import type { KnownRestore, Restores } from './restores.ts';

/** What a restore is judged by: the policy is that of the backup. */
export interface RestoreJudge {
  readonly restores: Restores;
  readonly policy: Policy;
  readonly logOrigin: string;
  readonly append: (draft: JournalDraft) => Promise<void>;
  /** @throws KeysteadError `clock.went-back`. */
  readonly now: () => Date;
}

type Agreed = Omit<RestoreAgreedJournalEntry, 'n'>;

/** Statements that were brought to a keyd that does not run, one a line, in its own directory. */
export const broughtStatements = (dir: string): string => join(dir, 'restore-statements');
/** A proposal and at most 16 approvals. */
export const MOST_RESTORE_STATEMENTS = 17;
const MOST_BYTES = MOST_RESTORE_STATEMENTS * 20_480;

/**
 * Opens a keyd that was restored. keyd verifies each signature by the policy in the backup, that they are as many as its
 * quorum `restore`, by keys such as it asks for, and that they name this one restore. The same statements again have the
 * answer of the first time. What is refused stands in the journal, and keyd stays closed. REQ-KEY-SOD-02, REQ-KEY-BAK-02
 * @throws KeysteadError `restore-order.*`, `restore.not-pending`, `approval.hardware-required`, `clock.went-back`,
 *   `keyd.journal-failed`.
 */
export function agreeToRestore(judge: RestoreJudge, statements: readonly string[], requestId: string): Promise<Agreed> {
  const { restores } = judge;
  return restores.turnstile.alone(async () => {
    const { last, pending } = restores;
    if (pending === undefined) return requireSame(last, statements);
    const now = judge.now();
    try {
      const { order, orderSha256, proposer, approvers } = verifyRestoreOrder(statements, judge.policy, now);
      requireThisRestore(order, pending, judge.logOrigin);
      const entry = {
        time: now.toISOString(),
        kind: 'restore-agreed' as const,
        restore: pending.restore,
        backupId: pending.backupId,
        orderSha256,
        by: proposer,
        approvers: [...approvers],
        requestId,
      };
      await judge.append(entry);
      restores.agree(entry);
      return entry;
    } catch (error) {
      if (error instanceof KeysteadError && error.kind !== 'unavailable') await remember(judge, error, requestId, now);
      throw error;
    }
  });
}

/**
 * Takes what was brought while keyd did not run. Refused statements are taken away: the same would be refused again.
 * @returns why they were refused, or undefined.
 * @throws KeysteadError `keyd.journal-failed`.
 */
export async function takeBroughtStatements(dir: string, judge: RestoreJudge): Promise<KeysteadError | undefined> {
  const path = broughtStatements(dir);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  try {
    if (judge.restores.pending !== undefined) {
      const text = stats.isFile() && stats.size <= MOST_BYTES ? readFileSync(path, 'utf8') : '';
      const lines = text.split('\n').filter((line) => line !== '');
      await agreeToRestore(judge, lines.slice(0, MOST_RESTORE_STATEMENTS), 'brought');
    }
  } catch (error) {
    if (!(error instanceof KeysteadError) || error.kind === 'unavailable') throw error;
    rmSync(path, { force: true });
    return error;
  }
  rmSync(path, { force: true });
  return undefined;
}

/** @throws KeysteadError `restore-order.other-restore`. */
export function requireThisRestore(order: RestoreOrder, pending: KnownRestore, logOrigin: string): void {
  const refuse = (field: string, seen: string): KeysteadError =>
    new KeysteadError('restore-order.other-restore', { field: `order.${field}`, seen });
  if (order.purpose !== 'restore') throw refuse('purpose', order.purpose);
  if (order.log !== logOrigin) throw refuse('log', order.log);
  for (const field of ['restore', 'backupId', 'manifestSha256'] as const) {
    if (order[field] !== pending[field]) throw refuse(field, order[field]);
  }
  if (pending.acceptedLoss && !order.acceptLoss) throw refuse('acceptLoss', 'a loss that nobody agreed to');
}

function requireSame(last: KnownRestore | undefined, statements: readonly string[]): Agreed {
  const asked = restoreOrderSha256(parseRestoreStatement(statements[0] ?? '').content.order);
  if (last?.agreed?.orderSha256 === asked) return last.agreed;
  throw new KeysteadError('restore.not-pending', { field: 'statements', seen: last?.backupId ?? 'no restore' });
}

async function remember(
  { restores, append }: RestoreJudge,
  { code, seen }: KeysteadError,
  requestId: string,
  now: Date,
): Promise<void> {
  const { pending } = restores;
  if (pending === undefined || !restores.remembersRefusals) return;
  const time = now.toISOString();
  const told = seen === undefined ? {} : { seen: seen.slice(0, 200).toWellFormed() };
  await append({ time, kind: 'restore-refused', restore: pending.restore, code, ...told, requestId });
  restores.refuse({ time, code });
}
