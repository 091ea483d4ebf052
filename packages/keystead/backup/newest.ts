import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { openCheckpoint, parseCheckpoint } from '@keystead/core/log';
import type { Layout } from '../files/layout.ts';
import { checkpointKeys } from '../verify/log-keys.ts';
import type { SignedBackup } from './verify.ts';

/** What is known from elsewhere of how far the log had come when its machine was lost. */
export interface Newest {
  /** A newer copy of the log's published files: the restored log is continued from it. */
  readonly log?: string;
  /** Checkpoints (note text) that somebody kept: of a witness, an auditor, a backend. */
  readonly seen: readonly string[];
  /** Whether the quorum accepts that entries are lost, and with them that a fork can be shown to it. */
  readonly acceptLoss: boolean;
}

/**
 * How far the log must reach. It is asked before any custodian is troubled, so signatures are not verified here.
 * @returns the most entries that anybody has seen.
 * @throws KeysteadError `backup.newest-unknown` when nobody says; `backup.older-than-seen` when the backup, with the
 *   copy of the log that is given, does not reach it and the loss is not accepted; `backup.log-differs`,
 *   `checkpoint.malformed`.
 */
export function requireReach(backup: SignedBackup, newest: Newest): number {
  const own = sizeOf(backup.manifest.checkpoint ?? undefined, backup);
  const copied = newest.log === undefined ? 0 : sizeOf(noteIn(newest.log), backup);
  const seen = newest.seen.map((note) => sizeOf(note, backup));
  if (newest.log === undefined && seen.length === 0 && !newest.acceptLoss) {
    throw new KeysteadError('backup.newest-unknown', { field: 'log', seen: `a backup with ${own} entries` });
  }
  const most = Math.max(own, copied, ...seen);
  if (most > Math.max(own, copied) && !newest.acceptLoss) {
    throw new KeysteadError('backup.older-than-seen', {
      field: 'checkpoint',
      seen: `${Math.max(own, copied)} entries, where ${most} were seen`,
    });
  }
  return most;
}

/** The same notes, once there are keys to verify them with. @throws KeysteadError `note.*`, `checkpoint.*`. */
export function verifySeen(layout: Layout, { seen }: Newest): void {
  const { log } = checkpointKeys(layout.trust);
  for (const note of seen) openCheckpoint(note, { log });
}

function sizeOf(note: string | undefined, { manifest }: SignedBackup): number {
  if (note === undefined) return 0;
  const { origin, size } = parseCheckpoint(note.slice(0, note.indexOf('\n\n') + 1));
  if (origin !== manifest.logOrigin) {
    throw new KeysteadError('backup.log-differs', { field: 'origin', seen: `${origin}, for ${manifest.logOrigin}` });
  }
  return size;
}

function noteIn(dir: string): string {
  const path = join(dir, 'checkpoint');
  if (!existsSync(path)) throw new KeysteadError('backup.log-differs', { field: path, seen: 'no checkpoint' });
  return readFileSync(path, 'utf8');
}
