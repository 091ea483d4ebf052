import { KeysteadError } from '@keystead/core/errors';
import type { KeydContext } from '../context.ts';
import type { OperationName, Params, Result } from '../protocol.ts';
import { agreeToRestore } from '../restore-agreement.ts';

/**
 * Opens a keyd that was restored, by the statements of a quorum of the policy in the backup. REQ-KEY-SOD-02, REQ-KEY-BAK-02
 * @throws KeysteadError `restore-order.*`, `restore.not-pending`, `approval.hardware-required`, `clock.went-back`,
 *   `keyd.journal-failed`; keyd stays closed then.
 */
export async function agreeRestore(keyd: KeydContext, params: Params<'agreeRestore'>): Promise<Result<'agreeRestore'>> {
  const { backupId, time, by, approvers } = await agreeToRestore(
    keyd.restoreJudge,
    params.statements,
    params.requestId,
  );
  return { backupId, at: new Date(time), by, approvers };
}

/** What a keyd does that was restored and that nobody has agreed to yet. */
const WHILE_PENDING: ReadonlySet<OperationName> = new Set<OperationName>(['status', 'agreeRestore']);

/** @throws KeysteadError `restore.pending`. */
export function requireOpen({ state }: KeydContext, op: OperationName): void {
  const { pending } = state.restored;
  if (pending === undefined || WHILE_PENDING.has(op)) return;
  throw new KeysteadError('restore.pending', {
    field: op,
    seen: `backup ${pending.backupId}, restored at ${pending.time}`,
  });
}
