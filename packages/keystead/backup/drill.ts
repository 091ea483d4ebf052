import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@keystead/core/clock';
import { Layout } from '../files/layout.ts';
import { verifyContent } from './container.ts';
import { mapDiskError } from './disk.ts';
import { rebuildLog, verifyState } from './rebuild.ts';
import { ShareSession } from './session.ts';
import { unpack } from './unpack.ts';
import type { SignedBackup } from './verify.ts';

export interface DrillOptions {
  readonly backup: SignedBackup;
  /** A directory for the copy, which is removed again; best one in memory (/dev/shm). */
  readonly scratch: string;
  readonly collect: (session: ShareSession) => Promise<void>;
  readonly clock: Clock;
  readonly onProgress?: (bytes: number) => void;
}

export interface Drilled {
  readonly custodians: readonly string[];
  /** Files that came out bit for bit. */
  readonly members: number;
  /** Entries of the log that were proven from the copy. */
  readonly logEntries: number;
}

/**
 * Restores for the sake of it: with a quorum of shares, into a scratch directory, all of it compared bit for bit with
 * the manifest, the history proven from the copy; and the copy removed. The master is compared and not written.
 * REQ-KEY-BAK-02
 * @throws KeysteadError as a restore does. The copy is removed then, too.
 */
export async function drillBackup(options: DrillOptions): Promise<Drilled> {
  const { backup, clock } = options;
  await verifyContent(backup);
  using session = await ShareSession.open(backup);
  await options.collect(session);
  using identity = await session.combine();
  const copy = mkdtempSync(join(options.scratch, '.keystead-drill-'));
  try {
    await unpack(backup, identity, copy, { withMaster: false, onProgress: options.onProgress });
    const layout = new Layout(copy);
    const logEntries = await rebuildLog(layout);
    await verifyState(layout, clock);
    return { custodians: session.custodians, members: backup.manifest.members.length, logEntries };
  } catch (error) {
    throw mapDiskError(error, options.scratch);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
