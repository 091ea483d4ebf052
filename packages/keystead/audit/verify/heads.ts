import { type CheckpointKeys, openCheckpoint } from '@keystead/core/log';
import { readArchive } from '../archive.ts';
import type { FileReader } from '../log-reader.ts';
import type { Timers } from '../timers.ts';
import { openPlain } from './bounded-files.ts';
import type { Findings } from './faults.ts';
import { isForgery, type Milestone, textOf } from './milestones.ts';

/** The published checkpoint; a finding and undefined when there is none that is signed. */
export async function readHead(
  read: FileReader,
  keys: CheckpointKeys,
  findings: Findings,
): Promise<Milestone | undefined> {
  try {
    const note = await read('checkpoint');
    if (note !== undefined)
      return { ...openCheckpoint(Buffer.from(note).toString('utf8'), keys), source: 'checkpoint' };
    findings.add('checkpoint-missing', 'the file `checkpoint`');
  } catch (error) {
    findings.add(isForgery(error) ? 'checkpoint-forged' : 'checkpoint-malformed', textOf(error));
  }
  return undefined;
}

/** The largest signed checkpoint of the archive: where there is no good head, it tells how far the log can be proven. */
export async function lastSigned(path: string, length: number, keys: CheckpointKeys): Promise<Milestone | undefined> {
  let last: Milestone | undefined;
  const file = await openPlain(path);
  if (file === undefined) return undefined;
  try {
    for await (const note of readArchive(file, length)) {
      try {
        const checkpoint = openCheckpoint(note, keys);
        if (checkpoint.size >= (last?.size ?? 0)) last = { ...checkpoint, source: 'the last archived checkpoint' };
      } catch {
        // Told of when the archive is walked through.
      }
    }
  } catch {
    // The same.
  } finally {
    await file.close();
  }
  return last;
}

/**
 * Waits until the published checkpoint covers `size`, since keyd is ahead of it for the moment in which a running
 * service publishes. False when it does not come in `ms`.
 */
export async function headReaches(
  size: number,
  read: FileReader,
  keys: CheckpointKeys,
  ms: number,
  timers: Timers,
): Promise<boolean> {
  const STEP_MS = 100;
  for (let waited = 0; ; waited += STEP_MS) {
    const note = await read('checkpoint').catch(() => undefined);
    try {
      if (note !== undefined && openCheckpoint(Buffer.from(note).toString('utf8'), keys).size >= size) return true;
    } catch {
      // No signed head: nothing reaches.
    }
    if (waited >= ms) return false;
    await new Promise<void>((resolve) => timers.after(STEP_MS, resolve));
  }
}
