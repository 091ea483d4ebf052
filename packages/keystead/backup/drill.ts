import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { type RestoreOrder, verifyRestoreOrder } from '@keystead/core/lifecycle';
import { Layout } from '../files/layout.ts';
import { verifyContent } from './container.ts';
import { mapDiskError } from './disk.ts';
import { rebuildLog, verifyState } from './rebuild.ts';
import { orderOf, policyIn, statementsOf } from './restore-request.ts';
import { ShareSession } from './session.ts';
import { unpack } from './unpack.ts';
import type { SignedBackup } from './verify.ts';

export interface DrillOptions {
  readonly backup: SignedBackup;
  /** A directory for the copy, which is removed again; best one in memory (/dev/shm). */
  readonly scratch: string;
  readonly collect: (session: ShareSession) => Promise<void>;
  /** As for a restore; what is signed for a drill opens nothing. */
  readonly onOrder?: (order: RestoreOrder) => void;
  /** The statements that there are at the end: without any the signing is not drilled. */
  readonly statements?: () => readonly string[];
  readonly clock: Clock;
  readonly onProgress?: (bytes: number) => void;
}

export interface Drilled {
  readonly custodians: readonly string[];
  /** Files that came out bit for bit. */
  readonly members: number;
  /** Entries of the log that were proven from the copy. */
  readonly logEntries: number;
  /** Who signed statements that would have opened keyd; nobody where none were given. */
  readonly signers: readonly string[];
}

/**
 * Restores for the sake of it: with a quorum of shares, into a scratch directory, all of it compared bit for bit with
 * the manifest, the history proven from the copy; and the copy removed. The master is compared and not written.
 * Statements are verified as keyd does after a restore, by the policy in the copy. REQ-KEY-BAK-02
 * @throws KeysteadError as a restore does, and `restore-order.*` for statements that would not open a keyd. The copy is
 *   removed then, too.
 */
export async function drillBackup(options: DrillOptions): Promise<Drilled> {
  const { backup, clock } = options;
  await verifyContent(backup);
  using session = await ShareSession.open(backup);
  const order = orderOf(backup, 'drill', true);
  options.onOrder?.(order);
  await options.collect(session);
  using identity = await session.combine();
  const copy = mkdtempSync(join(options.scratch, '.keystead-drill-'));
  try {
    await unpack(backup, identity, copy, { withMaster: false, onProgress: options.onProgress });
    const layout = new Layout(copy);
    const logEntries = await rebuildLog(layout);
    await verifyState(layout, clock);
    const signers = signersIn(layout, order, options);
    return { custodians: session.custodians, members: backup.manifest.members.length, logEntries, signers };
  } catch (error) {
    throw mapDiskError(error, options.scratch);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function signersIn(
  layout: Layout,
  order: RestoreOrder,
  { statements, clock }: Pick<DrillOptions, 'statements' | 'clock'>,
): string[] {
  const given = statements?.() ?? [];
  if (given.length === 0) return [];
  const mine = statementsOf(given, order);
  if (mine.length === 0) {
    throw new KeysteadError('restore-order.other-restore', { field: 'statements', seen: 'none of this drill' });
  }
  const { proposer, approvers } = verifyRestoreOrder(mine, policyIn(layout), clock.now());
  return [proposer, ...approvers];
}
