import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';

/**
 * Replaces the file at `path` so that a reader, and a machine that lost power at any moment, sees the old content or
 * the new, never a part: a new file beside it, fsync, rename, fsync of the directory. When it returns, the new
 * content is on disk. On a failure before the rename the old file is as it was. A kill may leave a
 * `.<name>.<16 hex digits>.tmp` beside it, which `removeUnfinished` removes.
 * @param bytes the content; a string is written as UTF-8.
 * @param mode permission bits, exactly (the umask does not apply), from before the first byte is written.
 * @throws Error of node:fs.
 */
export function durableWrite(path: string, bytes: Uint8Array | string, mode: number): void {
  replaceBySynced(path, bytes, mode);
  syncDirectory(dirname(path));
}

/** Files that are written side by side: the disk makes several durable at once, and the threads of libuv are four. */
const AT_ONCE = 8;

/**
 * The same for many files of one directory, by name, without keeping the event loop: their contents become durable side by
 * side, and their names together, by one fsync of the directory. When it resolves, all are on disk; on a failure some may
 * be, each whole.
 * @throws Error of node:fs.
 */
export async function durableWriteAll(
  dir: string,
  files: ReadonlyMap<string, Uint8Array | string>,
  mode: number,
): Promise<void> {
  const left = files.entries();
  const worker = async (): Promise<void> => {
    for (const [name, bytes] of left) await replaceLater(join(dir, name), bytes, mode);
  };
  const ends = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, files.size) }, worker));
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  const directory = await open(dir, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function replaceLater(path: string, bytes: Uint8Array | string, mode: number): Promise<void> {
  const temporary = temporaryOf(path);
  try {
    const file = await open(temporary, 'wx', mode & 0o700);
    try {
      await file.chmod(mode);
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

const temporaryOf = (path: string): string => join(dirname(path), `.${basename(path)}.${toHex(randomBytes(8))}.tmp`);

/** The content is on disk, its name is not yet. */
function replaceBySynced(path: string, bytes: Uint8Array | string, mode: number): void {
  const temporary = temporaryOf(path);
  try {
    // No wider than the owner until fchmod: the umask can only take bits away from this.
    const file = openSync(temporary, 'wx', mode & 0o700);
    try {
      fchmodSync(file, mode);
      writeAll(file, typeof bytes === 'string' ? Buffer.from(bytes) : bytes);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Makes the names in a directory durable: new, renamed and removed files. @throws Error of node:fs. */
export function syncDirectory(dir: string): void {
  const handle = openSync(dir, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/**
 * Makes a directory, and those above it that are missing, each durable in the one above: what is written into it durably
 * would else be lost with its name. One that is there is left as it is.
 * @throws Error of node:fs.
 */
export function durableDirectory(path: string, mode: number): void {
  const first = mkdirSync(path, { recursive: true, mode });
  if (first === undefined) return;
  const top = resolve(first);
  for (let made = resolve(path); made.length >= top.length; made = dirname(made)) syncDirectory(dirname(made));
}

/** Removes what killed writes of `path` left behind. Nobody else may be writing it. @throws Error of node:fs. */
export function removeUnfinished(path: string): void {
  const dir = dirname(path);
  const start = `.${basename(path)}.`;
  for (const name of readdirSync(dir)) {
    const unfinished = name.startsWith(start) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(start.length));
    if (unfinished) rmSync(join(dir, name), { force: true });
  }
}

// write(2) may take less than it was given; the rest would be missing without an error.
function writeAll(file: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) written += writeSync(file, bytes, written);
}
