import { KeysteadError } from '../errors/index.ts';
import { HASH_BYTES, nodeHash } from './hash.ts';
import type { HashReader } from './proof.ts';
import { levelSize, TILE_HEIGHT, TILE_WIDTH, tileWidth } from './tile-path.ts';

/** The hashes of a tile, 1 to 256 of 32 bytes. @throws KeysteadError `log.malformed` for another length. */
export function decodeTile(tile: Uint8Array): Uint8Array[] {
  const count = tile.length / HASH_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > TILE_WIDTH) {
    throw new KeysteadError('log.malformed', { field: 'tile', seen: `${tile.length} bytes` });
  }
  return Array.from({ length: count }, (_, i) => tile.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

/** A tile: its hashes one after the other. */
export const encodeTile = (hashes: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(hashes));

/** The root of the complete subtree over `hashes`; their number is a power of two. */
export function subtreeRoot(hashes: readonly Uint8Array[]): Uint8Array {
  let level = [...hashes];
  while (level.length > 1) {
    level = Array.from({ length: level.length / 2 }, (_, i) => nodeHash(at(level, 2 * i), at(level, 2 * i + 1)));
  }
  return at(level, 0);
}

/** Gives the hashes of one tile, `width` of them or more. */
export type TileReader = (level: number, index: number, width: number) => Promise<readonly Uint8Array[]>;

/**
 * Reads any hash of a tree of `size` leaves out of its tiles.
 * @throws (the reader) KeysteadError `log.malformed` when a tile is narrower than the size says, or what `tiles`
 * throws.
 */
export function tileHashReader(size: number, tiles: TileReader): HashReader {
  return async (height, index) => {
    const level = Math.floor(height / TILE_HEIGHT);
    const width = 2 ** (height - level * TILE_HEIGHT);
    const first = index * width;
    if (first + width > levelSize(level, size)) {
      throw new KeysteadError('log.out-of-range', { field: 'hash', seen: `height ${height}, index ${index}` });
    }
    const tile = Math.floor(first / TILE_WIDTH);
    const offset = first - tile * TILE_WIDTH;
    const hashes = (await tiles(level, tile, tileWidth(level, tile, size))).slice(offset, offset + width);
    if (hashes.length !== width) throw new KeysteadError('log.malformed', { field: `tile ${level}/${tile}` });
    return subtreeRoot(hashes);
  };
}

/** The element at `i`, which the caller knows to be there. */
function at(hashes: readonly Uint8Array[], i: number): Uint8Array {
  const hash = hashes[i];
  if (hash === undefined) throw new KeysteadError('log.malformed', { field: 'tile' });
  return hash;
}
