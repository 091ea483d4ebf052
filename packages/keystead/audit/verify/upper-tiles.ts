import { sameBytes } from '@keystead/core/bytes';
import { encodeTile, subtreeRoot, TILE_WIDTH, tilePath } from '@keystead/core/log';
import { type FileReader, readTileFile } from '../log-reader.ts';
import type { Findings } from './faults.ts';
import { textOf } from './milestones.ts';

/** Checks the tiles above level 0 against hashes computed from the entries. */
export class UpperTiles {
  readonly #read: FileReader;
  readonly #findings: Findings;
  readonly #levels: { index: number; hashes: Uint8Array[] }[] = [];

  constructor(read: FileReader, findings: Findings) {
    this.#read = read;
    this.#findings = findings;
  }

  /** Takes the 256 leaf hashes of a full tile of level 0. */
  push(leaves: readonly Uint8Array[]): Promise<void> {
    return this.#push(1, subtreeRoot(leaves));
  }

  /** Checks what is unfinished: the partial tiles of the log's size. */
  async end(): Promise<void> {
    for (const [i, { index, hashes }] of this.#levels.entries()) {
      if (hashes.length > 0) await this.#check(i + 1, index, hashes);
    }
  }

  async #push(level: number, hash: Uint8Array): Promise<void> {
    const tile = this.#levels[level - 1] ?? { index: 0, hashes: [] };
    this.#levels[level - 1] = tile;
    tile.hashes.push(hash);
    if (tile.hashes.length < TILE_WIDTH) return;
    await this.#check(level, tile.index, tile.hashes);
    const root = subtreeRoot(tile.hashes);
    tile.hashes = [];
    tile.index++;
    await this.#push(level + 1, root);
  }

  async #check(level: number, index: number, hashes: readonly Uint8Array[]): Promise<void> {
    const path = tilePath(level, index, hashes.length);
    try {
      const bytes = await readTileFile(this.#read, level, index, hashes.length);
      const expected = encodeTile(hashes);
      if (bytes === undefined) this.#findings.add('tile-missing', path);
      else if (!sameBytes(bytes.subarray(0, expected.length), expected)) this.#findings.add('tile-altered', path);
    } catch (error) {
      this.#findings.add('tile-missing', `${path}: ${textOf(error)}`);
    }
  }
}
