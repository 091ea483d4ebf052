import { sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CheckpointKeys,
  MAX_NOTE_LENGTH,
  openCheckpoint,
  parseTilePath,
  type SignedCheckpoint,
  TileBuilder,
  tileWidth,
} from '@keystead/core/log';
import { archiveRecord, lastArchived } from './archive.ts';
import type { LogFiles } from './log-directory.ts';
import { bundlesOf, tilesOf } from './log-reader.ts';
import type { Published } from './publish.ts';

/**
 * Finds where publishing stood, and finishes what a crash cut short: a torn archive record, a checkpoint that is
 * published and not archived, temporary files, partial tiles that a full one has replaced. What stands on disk beyond
 * the checkpoint is written again. Without a `checkpoint` the log is made anew from the start.
 * @throws KeysteadError `log.damaged` when the files are not those that the checkpoint signs: nothing is repaired
 * then, since the damage may be evidence.
 */
export async function recover(files: LogFiles, keys: CheckpointKeys): Promise<Published> {
  const note = await files.read('checkpoint');
  if (note === undefined) return { builder: new TileBuilder(), checkpoint: undefined };
  let checkpoint: SignedCheckpoint;
  let builder: TileBuilder;
  try {
    checkpoint = openCheckpoint(Buffer.from(note).toString('utf8'), keys);
    const read = (path: string): Promise<Uint8Array | undefined> => files.read(path);
    builder = await TileBuilder.resume(checkpoint.size, tilesOf(read), bundlesOf(read));
  } catch (cause) {
    throw new KeysteadError('log.damaged', { seen: cause instanceof Error ? cause.message : String(cause), cause });
  }
  if (!sameBytes(builder.root(), checkpoint.root)) {
    throw new KeysteadError('log.damaged', { field: 'tile', seen: 'tiles with another root than the checkpoint' });
  }
  await completeArchive(files, keys, checkpoint);
  await sweep(files, checkpoint.size);
  return { builder, checkpoint };
}

async function completeArchive(files: LogFiles, keys: CheckpointKeys, checkpoint: SignedCheckpoint): Promise<void> {
  // Two whole notes and a torn one are surely in it.
  const tail = await files.tail('checkpoints', 3 * MAX_NOTE_LENGTH);
  const last = lastArchived(tail.bytes);
  const torn = last === undefined ? tail.bytes.length : last.torn;
  if (last !== undefined && openCheckpoint(last.note, keys).size > checkpoint.size) {
    throw new KeysteadError('log.damaged', { field: 'checkpoint', seen: 'a checkpoint older than the last archived' });
  }
  if (torn > 0) await files.truncate('checkpoints', tail.size - torn);
  if (last?.note !== checkpoint.note) await files.append('checkpoints', archiveRecord(checkpoint.note));
}

/** Removes what a crash left behind. */
async function sweep(files: LogFiles, size: number, dir = 'tile'): Promise<void> {
  for (const name of await files.list(dir)) {
    const path = `${dir}/${name}`;
    if (name.endsWith('.tmp')) await files.remove(path);
    else if (name.endsWith('.p')) {
      const tile = parseTilePath(path.slice(0, -'.p'.length));
      if (tile !== undefined && tileWidth(tile.level, tile.index, size) === tile.width) await files.remove(path);
      else await sweep(files, size, path);
    } else if (dir === 'tile' || name.startsWith('x')) await sweep(files, size, path);
  }
}
