import {
  decodeBundle,
  decodeTile,
  Frontier,
  type HashReader,
  leafHash,
  TILE_WIDTH,
  tilePath,
  tileWidth,
} from '@keystead/core/log';
import { type FileReader, readTileFile } from '../log-reader.ts';
import type { LeavesFile } from './bounded-files.ts';
import type { LeafReader } from './classify.ts';
import type { Findings } from './faults.ts';

/** Where the hashes of entries come from: the entries themselves, the tiles of level 0, keyd's file. */
export class EntrySources {
  readonly #read: FileReader;
  readonly #size: number;
  readonly #keyd: LeavesFile | undefined;

  constructor(read: FileReader, size: number, keyd: LeavesFile | undefined) {
    this.#read = read;
    this.#size = size;
    this.#keyd = keyd;
  }

  /** The entries of bundle `tile`, as many as can be read: whatever is there instead of the rest, it is missing. */
  async entries(tile: number, findings?: Findings): Promise<Uint8Array[]> {
    const width = tileWidth('entries', tile, this.#size);
    try {
      let bytes = await readTileFile(this.#read, 'entries', tile, width);
      // When the file is gone, an older and narrower one still tells which entries it took with it.
      for (let narrower = width - 1; bytes === undefined && narrower > 0; narrower--) {
        bytes = await this.#read(tilePath('entries', tile, narrower));
      }
      const { entries, garbage } = decodeBundle(bytes ?? new Uint8Array());
      if (garbage && entries.length >= width) findings?.add('bundle-garbage', tilePath('entries', tile, width));
      return entries.slice(0, width);
    } catch {
      return [];
    }
  }

  /** The hashes of tile `tile` of level 0; undefined when it cannot be read. */
  async tile(tile: number): Promise<Uint8Array[] | undefined> {
    try {
      const bytes = await readTileFile(this.#read, 0, tile, tileWidth(0, tile, this.#size));
      return bytes === undefined ? undefined : decodeTile(bytes);
    } catch {
      return undefined;
    }
  }

  /** What keyd holds for tile `tile`; undefined when its file was not given. */
  async keyd(tile: number): Promise<Uint8Array[] | undefined> {
    return this.#keyd?.read(tile * TILE_WIDTH, tileWidth(0, tile, this.#size));
  }

  /** Leaf hashes one by one, of one of the sources. */
  leaves(source: 'entries' | 'tiles' | 'keyd'): LeafReader {
    const load = async (tile: number): Promise<Uint8Array[]> => {
      if (source === 'entries') return (await this.entries(tile)).map(leafHash);
      return (await (source === 'keyd' ? this.keyd(tile) : this.tile(tile))) ?? [];
    };
    // Neighbours are asked for, or all in order: two bundles at hand are enough.
    const hand = new Map<number, Promise<Uint8Array[]>>();
    return async (index) => {
      const tile = Math.floor(index / TILE_WIDTH);
      if (index >= this.#size) return undefined;
      const loaded = hand.get(tile) ?? load(tile);
      const [oldest] = hand.keys();
      if (hand.size >= 4 && oldest !== undefined && !hand.has(tile)) hand.delete(oldest);
      hand.set(tile, loaded);
      return (await loaded)[index - tile * TILE_WIDTH];
    };
  }

  /** Hashes of the entries' own tree, computed from the entries: for the proof of a fork only. */
  hashes(): HashReader {
    return async (height, index) => {
      const frontier = new Frontier();
      const leaves = this.leaves('entries');
      for (let at = index * 2 ** height; at < (index + 1) * 2 ** height; at++) {
        const leaf = await leaves(at);
        if (leaf !== undefined) frontier.append(leaf);
      }
      return frontier.root();
    };
  }
}
