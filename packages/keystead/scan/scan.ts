import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { containersIn, unpack } from './containers.ts';
import { Finds, type Scanned } from './finds.ts';
import { bufferSource, type Source, withFile } from './source.ts';
import { keysIn, OVERLAP, WINDOW } from './window.ts';

export interface ScanProgress {
  /** Told after each piece: the file, and how many bytes were looked at since. */
  looked(path: string, bytes: number): void;
}

/** Packed in packed in packed: deeper than images are. */
const DEEPEST = 4;

/**
 * Looks for private keys in a file, or in every file of a tree: in DER, PEM, base64, hexadecimal text, OpenSSH, PuTTY and
 * JSON Web Keys, also inside gzip, zstd and zip, wherever these begin. Memory is bounded: 8 MiB of a file at once,
 * 256 MiB for what is unpacked, and 2000 finds of a file, the rest of which is counted. Symbolic links are not followed. A key whose bytes alone stand somewhere (a raw scalar)
 * looks like any other bytes and is not found. REQ-KEY-STO-02
 * @throws Error of node:fs for the path itself; what cannot be read below it is told as unread.
 */
export async function* scanPath(path: string, progress?: ScanProgress): AsyncGenerator<Scanned> {
  for (const file of filesOf(path)) {
    try {
      yield* await withFile(file, (source) => scanWhole(source, file, progress));
    } catch (error) {
      if (file === path) throw error;
      yield { what: 'unread', where: file, offset: 0, why: error instanceof Error ? error.message : String(error) };
    }
  }
}

/** The same for bytes in memory. @param where what they are called. */
export const scanBytes = (bytes: Buffer, where: string): Promise<Scanned[]> => scanWhole(bufferSource(bytes), where);

/** The files at or below a path. */
function* filesOf(path: string): Generator<string> {
  if (!statSync(path).isDirectory()) {
    yield path;
    return;
  }
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const below = join(path, entry.name);
    if (entry.isDirectory()) yield* filesOf(below);
    else if (entry.isFile()) yield below;
  }
}

async function scanWhole(source: Source, where: string, progress?: ScanProgress): Promise<Scanned[]> {
  const finds = new Finds();
  await scanInto(finds, source, where, 0, progress);
  return finds.all(where);
}

async function scanInto(
  finds: Finds,
  source: Source,
  where: string,
  depth: number,
  progress?: ScanProgress,
): Promise<void> {
  for (let start = 0; start === 0 || start < source.size; start += WINDOW) {
    const before = Math.min(start, OVERLAP);
    const bytes = source.read(start - before, before + WINDOW + OVERLAP);
    // What begins in a part that overlaps is told with the piece to which that belongs.
    const own = <T extends { offset: number }>(all: readonly T[]): T[] =>
      all.filter(({ offset }) => offset >= before && offset < before + WINDOW);
    const from = start - before;
    for (const find of own(keysIn(bytes))) finds.add({ what: 'key', where, ...find, offset: from + find.offset });
    for (const { kind, offset, data } of own(containersIn(bytes))) {
      const place = { where: `${where}!${kind}@${from + offset}`, offset: from + offset };
      if (data === undefined) finds.add({ what: 'unread', ...place, why: `${kind} is not unpacked here` });
      else await scanInside(finds, source, { kind, from: from + data, ...place }, depth);
    }
    progress?.looked(where, Math.min(WINDOW, source.size - start));
  }
}

interface Container {
  readonly kind: string;
  /** Where its data begin. */
  readonly from: number;
  readonly where: string;
  readonly offset: number;
}

async function scanInside(
  finds: Finds,
  source: Source,
  { kind, from, ...place }: Container,
  depth: number,
): Promise<void> {
  if (depth >= DEEPEST) {
    finds.add({ what: 'unread', ...place, why: `packed more than ${DEEPEST} times` });
    return;
  }
  const unpacked = await unpack(source, kind, from);
  if (unpacked === undefined) return;
  await scanInto(finds, bufferSource(unpacked.bytes), place.where, depth + 1);
  if (!unpacked.whole) finds.add({ what: 'unread', ...place, why: `${kind} breaks off, or unpacks to too much` });
}
