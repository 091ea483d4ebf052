import { KeysteadError } from '@keystead/core/errors';
import {
  type BundleReader,
  decodeBundle,
  decodeTile,
  MAX_BUNDLE_BYTES,
  TILE_WIDTH,
  type TileLevel,
  type TileReader,
  tilePath,
} from '@keystead/core/log';

/** Reads one file of a log, or undefined when there is none. */
export type FileReader = (path: string) => Promise<Uint8Array | undefined>;

/** A tile or bundle: the partial one of that width, or the full one that has replaced it since. */
export async function readTileFile(
  read: FileReader,
  level: TileLevel,
  index: number,
  width: number,
): Promise<Uint8Array | undefined> {
  const partial = await read(tilePath(level, index, width));
  return partial ?? (width === TILE_WIDTH ? undefined : await read(tilePath(level, index)));
}

/** Tiles out of files. @throws (the reader) KeysteadError `log.malformed`, also for a file that is not there. */
export const tilesOf =
  (read: FileReader): TileReader =>
  async (level, index, width) =>
    decodeTile(await present(read, level, index, width));

/** Bundles out of files. @throws (the reader) KeysteadError `log.malformed`, also for a file that is not there. */
export const bundlesOf =
  (read: FileReader): BundleReader =>
  async (index, width) => {
    const bytes = await present(read, 'entries', index, width);
    if (bytes.length > MAX_BUNDLE_BYTES)
      throw new KeysteadError('log.malformed', { field: tilePath('entries', index) });
    return decodeBundle(bytes).entries;
  };

/** The entries of one bundle. @throws KeysteadError `log.malformed`. */
export const readBundle = async (read: FileReader, index: number, width: number): Promise<readonly Uint8Array[]> =>
  bundlesOf(read)(index, width);

async function present(read: FileReader, level: TileLevel, index: number, width: number): Promise<Uint8Array> {
  const bytes = await readTileFile(read, level, index, width);
  if (bytes === undefined) {
    throw new KeysteadError('log.malformed', { field: tilePath(level, index, width), seen: 'no such file' });
  }
  return bytes;
}
