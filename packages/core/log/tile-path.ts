import { KeysteadError } from '../errors/index.ts';

/** Hashes in a full tile, and entries in a full bundle (C2SP tlog-tiles). */
export const TILE_WIDTH = 256;
/** Levels of the tree that one tile spans: 2^8 = 256. */
export const TILE_HEIGHT = 8;

/** Which tile: a level of the tree of tiles, or the bundles of entries beneath it. */
export type TileLevel = number | 'entries';

export interface TileName {
  readonly level: TileLevel;
  /** Number of the tile in its level, from 0. */
  readonly index: number;
  /** 1 to 255 of a partial tile, 256 of a full one. */
  readonly width: number;
}

/**
 * The path of a tile under the log's prefix: `tile/0/x001/x234/067`, `tile/entries/000.p/7` (C2SP tlog-tiles,
 * Merkle Tree).
 * @throws KeysteadError `log.out-of-range`.
 */
export function tilePath(level: TileLevel, index: number, width: number = TILE_WIDTH): string {
  const levelFits = level === 'entries' || (Number.isInteger(level) && level >= 0 && level <= 63);
  if (!levelFits) throw new KeysteadError('log.out-of-range', { field: 'level', seen: String(level) });
  if (!Number.isSafeInteger(index) || index < 0) {
    throw new KeysteadError('log.out-of-range', { field: 'index', seen: String(index) });
  }
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new KeysteadError('log.out-of-range', { field: 'width', seen: String(width) });
  }
  let path = pad(index % 1000);
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    path = `x${pad(rest % 1000)}/${path}`;
  }
  return `tile/${level}/${path}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

const PATH = /^tile\/(entries|0|[1-9]\d?)\/((?:x\d{3}\/)*\d{3})(?:\.p\/([1-9]\d{0,2}))?$/;

/** The tile that a path names, or undefined when no tile has that path: the reverse of `tilePath`, exactly. */
export function parseTilePath(path: string): TileName | undefined {
  const match = path.length <= 128 ? PATH.exec(path) : null;
  if (match === null) return undefined;
  const [, levelText = '', indexText = '', widthText] = match;
  const level = levelText === 'entries' ? 'entries' : Number(levelText);
  const index = Number(indexText.replaceAll(/[x/]/g, ''));
  const width = widthText === undefined ? TILE_WIDTH : Number(widthText);
  if (width === TILE_WIDTH && widthText !== undefined) return undefined;
  if (width > TILE_WIDTH || !Number.isSafeInteger(index) || (level !== 'entries' && level > 63)) return undefined;
  // Only the one spelling: `x000/001` is no tile.
  return tilePath(level, index, width) === path ? { level, index, width } : undefined;
}

/** How many hashes a level of the tree of tiles has when the log has `size` entries: floor(size / 256^level). */
export function levelSize(level: TileLevel, size: number): number {
  return level === 'entries' ? size : Math.floor(size / TILE_WIDTH ** level);
}

/** How wide tile `index` of `level` is in a log of `size` entries; 0 when it has no such tile. */
export function tileWidth(level: TileLevel, index: number, size: number): number {
  return Math.min(TILE_WIDTH, Math.max(0, levelSize(level, size) - index * TILE_WIDTH));
}

const pad = (n: number): string => String(n).padStart(3, '0');
