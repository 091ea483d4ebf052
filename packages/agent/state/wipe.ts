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
  /** The device's signed word (`signWipeEvidence`), for whoever collects it; undefined where it had no IDevID. */
  readonly evidence?: string;
}

const isKept = (name: string): boolean => name === TOMBSTONE || name.startsWith('lock.');

/** The files that a wipe destroys, keys first and the state last. `slots`: the part of each key file. */
export function filesToWipe(disk: Disk, directory: string, slots: ReadonlyMap<string, string>): WipedFile[] {
  return disk
    .list(directory)
    .filter((name) => !isKept(name))
    .sort((a, b) => Number(b.startsWith('key.')) - Number(a.startsWith('key.')))
    .map((name) => ({
      name,
      part: slots.get(name) ?? (name === 'state' ? 'state' : 'left over'),
      bytes: disk.read(join(directory, name))?.length ?? 0,
    }));
}

/**
 * Erases every file of the directory. The tombstone is written first: from then on the wipe goes forward only,
 * and whoever opens the directory after a power cut finishes it.
 */
export function wipeFiles(disk: Disk, directory: string, told: Omit<WipeReport, 'method'>): WipeReport {
  const report: WipeReport = { ...told, method: 'overwritten with random bytes, then removed' };
  replaceFile(disk, join(directory, TOMBSTONE), Buffer.from(`${JSON.stringify(report, null, 2)}\n`));
  for (const { name } of report.files) eraseFile(disk, join(directory, name));
  return report;
}

/** What a wiped directory says of its end; undefined when it was not wiped, or says nothing that can be read. */
export function tombstoneOf(disk: Disk, directory: string): WipeReport | undefined {
  const bytes = disk.read(join(directory, TOMBSTONE));
  if (bytes === undefined) return undefined;
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as WipeReport;
  } catch {
    return undefined;
  }
}

/** Goes on with a wipe that was begun. @throws KeysteadError state.wiped when one was. */
export function finishWipe(disk: Disk, directory: string): void {
  if (disk.mode(join(directory, TOMBSTONE)) === undefined) return;
  for (const name of disk.list(directory)) if (!isKept(name)) eraseFile(disk, join(directory, name));
  throw new KeysteadError('state.wiped', { field: directory });
}
