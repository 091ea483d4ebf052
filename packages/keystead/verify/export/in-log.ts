import { sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { type CheckpointKeys, Frontier, leafHash, openCheckpoint, TILE_WIDTH, tileWidth } from '@keystead/core/log';
import { LogDirectory, parseEntry, readBundle } from '../../audit/index.ts';

/** What a log says of one batch. */
export interface BatchInLog {
  /** Units that were provisioned on its ticket. */
  readonly units: number;
  /** Entries of the log at the checkpoint by which this was counted, and when the log signed it. */
  readonly entries: number;
}

/**
 * Counts the units of a batch in a copy of the published log, reading it once from the first entry to its checkpoint: the
 * entries must lead to the root that the log signed, so that none of them can be missing. REQ-KEY-AUD-01
 * @throws KeysteadError `log.malformed`, `log.damaged`, `log.entry-malformed`, `note.*`, `checkpoint.*`.
 */
export async function unitsInLog(dir: string, ticketId: string, keys: CheckpointKeys): Promise<BatchInLog> {
  const files = new LogDirectory(dir);
  const read = (path: string): Promise<Uint8Array | undefined> => files.read(path);
  const note = await read('checkpoint');
  if (note === undefined) throw new KeysteadError('log.malformed', { field: 'checkpoint', seen: 'no such file' });
  const { size, root } = openCheckpoint(Buffer.from(note).toString('utf8'), keys);
  const tree = new Frontier();
  let units = 0;
  for (let bundle = 0; bundle * TILE_WIDTH < size; bundle += 1) {
    const width = tileWidth('entries', bundle, size);
    const entries = (await readBundle(read, bundle, width)).slice(0, width);
    for (const bytes of entries) {
      tree.append(leafHash(bytes));
      const { type, outcome, subject } = parseEntry(bytes);
      if (type === 'device.provisioned' && outcome === 'done' && subject.ticket === ticketId) units += 1;
    }
  }
  if (tree.size !== size || !sameBytes(tree.root(), root))
    throw new KeysteadError('log.malformed', { field: 'entries', seen: 'they do not lead to the root that is signed' });
  return { units, entries: size };
}
