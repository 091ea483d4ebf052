import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { type Disk, replaceFile } from './disk.ts';
import { eraseFile } from './erase.ts';

/** What stays of a wiped device: which files were destroyed, without any secret. */
export const TOMBSTONE = 'wiped.json';

/** One file that was overwritten and removed. */
export interface WipedFile {
  readonly name: string;
  /** The part that the key had: idevid, current, previous, pending; or 'state', or 'left over'. */
  readonly part: string;
  readonly bytes: number;
}

export interface WipeReport {
  readonly deviceId: string;
  /** ISO 8601 UTC. */
  readonly at: string;
  readonly method: 'overwritten with random bytes, then removed';
  readonly files: readonly WipedFile[];
}

const isKept = (name: string): boolean => name === TOMBSTONE || name.startsWith('lock.');

/**
 * Erases every file of the directory. The tombstone is written first: from then on the wipe goes forward only,
 * and whoever opens the directory after a power cut finishes it.
 */
export function wipeFiles(
  disk: Disk,
  directory: string,
  deviceId: string,
  at: Date,
  slots: ReadonlyMap<string, string>,
): WipeReport {
  const files = disk
    .list(directory)
    .filter((name) => !isKept(name))
    // Keys first, the state last.
    .sort((a, b) => Number(b.startsWith('key.')) - Number(a.startsWith('key.')))
    .map((name) => ({
      name,
      part: slots.get(name) ?? (name === 'state' ? 'state' : 'left over'),
      bytes: disk.read(join(directory, name))?.length ?? 0,
    }));
  const report: WipeReport = {
    deviceId,
    at: at.toISOString(),
    method: 'overwritten with random bytes, then removed',
    files,
  };
  replaceFile(disk, join(directory, TOMBSTONE), Buffer.from(`${JSON.stringify(report, null, 2)}\n`));
  for (const { name } of files) eraseFile(disk, join(directory, name));
  return report;
}

/** Goes on with a wipe that was begun. @throws KeysteadError state.wiped when one was. */
export function finishWipe(disk: Disk, directory: string): void {
  if (disk.mode(join(directory, TOMBSTONE)) === undefined) return;
  for (const name of disk.list(directory)) if (!isKept(name)) eraseFile(disk, join(directory, name));
  throw new KeysteadError('state.wiped', { field: directory });
}
