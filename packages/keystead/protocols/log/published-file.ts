import { parseTilePath, TILE_WIDTH } from '@keystead/core/log';

/** How a file of the log is served. */
export interface PublishedFile {
  /** Path under the log's directory: only what stands in this table is ever opened. */
  readonly path: string;
  readonly type: 'text/plain; charset=utf-8' | 'application/octet-stream';
  readonly cacheControl: string;
  /** Bundles shrink to a fifth; hashes do not shrink. */
  readonly compress: boolean;
  /** Whether it changes, and so needs an entity tag. */
  readonly mutable: boolean;
}

/** C2SP tlog-tiles, Checkpoints: not cached beyond a few seconds. */
const CHANGING = 'no-cache, max-age=0, must-revalidate';
/** C2SP tlog-tiles: tiles never change. A full one is kept for a year, the longest that caches mean seriously. */
const FULL = 'public, max-age=31536000, immutable';
/** A partial one does not change either, and is gone when its tile is full. */
const PARTIAL = 'public, max-age=86400, immutable';

/** The file that a path under the log's prefix names, or undefined when the log has none of that name. */
export function publishedFile(path: string): PublishedFile | undefined {
  if (path === 'checkpoint' || path === 'checkpoints') {
    return {
      path,
      type: 'text/plain; charset=utf-8',
      cacheControl: CHANGING,
      compress: path === 'checkpoints',
      mutable: true,
    };
  }
  const tile = parseTilePath(path);
  if (tile === undefined) return undefined;
  return {
    path,
    type: 'application/octet-stream',
    cacheControl: tile.width === TILE_WIDTH ? FULL : PARTIAL,
    compress: tile.level === 'entries',
    mutable: false,
  };
}
