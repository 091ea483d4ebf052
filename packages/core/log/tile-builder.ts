import { KeysteadError } from '../errors/index.ts';
import { encodeBundle } from './bundle.ts';
import { Frontier } from './frontier.ts';
import { leafHash } from './hash.ts';
import { encodeTile, subtreeRoot, type TileReader } from './tile.ts';
import { levelSize, TILE_WIDTH, type TileLevel, tilePath, tileWidth } from './tile-path.ts';

export interface TileFile {
  /** Path under the log's prefix, from `tilePath`. */
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The entries of the bundle `index`, `width` of them or more. */
export type BundleReader = (index: number, width: number) => Promise<readonly Uint8Array[]>;

/**
 * Turns appended entries into the files of C2SP tlog-tiles. It holds only the right edge: the hashes of the
 * unfinished tile of each level and the entries of the unfinished bundle.
 */
export class TileBuilder {
  #frontier = new Frontier();
  /** The unfinished tile of each level, at most 255 hashes. */
  #edge: Uint8Array[][] = [[]];
  #entries: Uint8Array[] = [];
  #full: TileFile[] = [];
  /** Size when the partial files were last taken. */
  #taken = 0;

  /**
   * The builder of a log that has `size` entries on disk.
   * @throws KeysteadError `log.malformed` when a tile is too narrow; what the readers throw. The caller compares
   * `root()` with the signed one: the tiles are not trusted.
   */
  static async resume(size: number, tiles: TileReader, bundles: BundleReader): Promise<TileBuilder> {
    const builder = new TileBuilder();
    if (size === 0) return builder;
    const edge: Uint8Array[][] = [];
    for (let level = 0; levelSize(level, size) > 0; level++) {
      const index = Math.floor(levelSize(level, size) / TILE_WIDTH);
      const width = tileWidth(level, index, size);
      edge.push(width === 0 ? [] : exactly(await tiles(level, index, width), width, `tile ${level}/${index}`));
    }
    builder.#edge = edge;
    const bundle = Math.floor(size / TILE_WIDTH);
    const width = size % TILE_WIDTH;
    builder.#entries = width === 0 ? [] : exactly(await bundles(bundle, width), width, `bundle ${bundle}`);
    builder.#frontier = frontierOf(size, edge);
    builder.#taken = size;
    return builder;
  }

  get size(): number {
    return this.#frontier.size;
  }

  root(): Uint8Array {
    return this.#frontier.root();
  }

  /** Appends one entry (the bytes of its leaf). Returns its leaf hash. @throws KeysteadError `log.entry-too-large`. */
  append(entry: Uint8Array): Uint8Array {
    const leaf = leafHash(entry);
    this.#entries.push(entry);
    if (this.#entries.length === TILE_WIDTH) {
      const index = Math.floor(this.size / TILE_WIDTH);
      this.#full.push({ path: tilePath('entries', index), bytes: encodeBundle(this.#entries) });
      this.#entries = [];
    }
    this.#frontier.append(leaf);
    this.#carry(0, leaf);
    return leaf;
  }

  /** The full tiles and bundles since the last call, in the order in which to write them. */
  takeFull(): TileFile[] {
    const full = this.#full;
    this.#full = [];
    return full;
  }

  /** The partial tiles and bundle of the present size that the last call did not give. */
  takePartial(): TileFile[] {
    const before = this.#taken;
    const grew = (level: TileLevel): boolean => levelSize(level, before) !== levelSize(level, this.size);
    const files: TileFile[] = [];
    const add = (level: TileLevel, width: number, bytes: () => Uint8Array): void => {
      if (width === 0 || !grew(level)) return;
      files.push({
        path: tilePath(level, Math.floor(levelSize(level, this.size) / TILE_WIDTH), width),
        bytes: bytes(),
      });
    };
    add('entries', this.#entries.length, () => encodeBundle(this.#entries));
    for (const [level, hashes] of this.#edge.entries()) add(level, hashes.length, () => encodeTile(hashes));
    this.#taken = this.size;
    return files;
  }

  #carry(level: number, hash: Uint8Array): void {
    const tile = this.#edge[level] ?? [];
    this.#edge[level] = tile;
    tile.push(hash);
    if (tile.length < TILE_WIDTH) return;
    const index = levelSize(level, this.size) / TILE_WIDTH - 1;
    this.#full.push({ path: tilePath(level, index), bytes: encodeTile(tile) });
    this.#edge[level] = [];
    this.#carry(level + 1, subtreeRoot(tile));
  }
}

/** The right edge of the tree from the right edge of its tiles: each run of 2^k hashes in a tile is one subtree. */
function frontierOf(size: number, edge: readonly Uint8Array[][]): Frontier {
  const hashes: Uint8Array[] = [];
  for (const tile of [...edge].reverse()) {
    let at = 0;
    for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
      if (at + width > tile.length) continue;
      hashes.push(subtreeRoot(tile.slice(at, at + width)));
      at += width;
    }
  }
  return Frontier.from({ size, hashes });
}

/** The first `width` of what a reader gave, as copies of its own: a partial file may have been replaced by a full one. */
function exactly(parts: readonly Uint8Array[], width: number, field: string): Uint8Array[] {
  if (parts.length < width) {
    throw new KeysteadError('log.malformed', { field, seen: `${parts.length} of ${width}` });
  }
  return parts.slice(0, width).map((part) => Uint8Array.from(part));
}
