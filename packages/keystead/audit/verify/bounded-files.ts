import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { KeysteadError } from '@keystead/core/errors';
import { HASH_BYTES, MAX_BUNDLE_BYTES } from '@keystead/core/log';
import type { FileReader } from '../log-reader.ts';

/**
 * Reads the files of a directory that nobody vouches for: no file larger than the largest that a log has, nothing but
 * plain files, no waiting at a pipe.
 * @throws (the reader) KeysteadError `log.malformed` for what is there and cannot be such a file.
 */
export const boundedFiles =
  (dir: string): FileReader =>
  async (path) => {
    const file = await openPlain(join(dir, path));
    if (file === undefined) return undefined;
    try {
      const { size } = await file.stat();
      if (size > MAX_BUNDLE_BYTES) throw new KeysteadError('log.malformed', { field: path, seen: `${size} bytes` });
      return await file.readFile();
    } finally {
      await file.close();
    }
  };

/** Opens a plain file; undefined when there is none. @throws KeysteadError `log.malformed`. */
export async function openPlain(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'failed';
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new KeysteadError('log.malformed', { field: path, seen: code, cause });
  }
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new KeysteadError('log.malformed', { field: path, seen: 'not a plain file' });
}

/** keyd's own file of leaf hashes, 32 bytes each; a torn last one is no leaf yet. */
export class LeavesFile {
  readonly #file: FileHandle;
  /** How many whole leaves it had when it was opened. */
  readonly count: number;

  private constructor(file: FileHandle, count: number) {
    this.#file = file;
    this.count = count;
  }

  /** Undefined when there is no such file. @throws KeysteadError `log.malformed`. */
  static async open(path: string): Promise<LeavesFile | undefined> {
    const file = await openPlain(path);
    if (file === undefined) return undefined;
    return new LeavesFile(file, Math.floor((await file.stat()).size / HASH_BYTES));
  }

  /** Leaves `from` to `from + count`, fewer at the end of the file. */
  async read(from: number, count: number): Promise<Uint8Array[]> {
    const bytes = Buffer.alloc(count * HASH_BYTES);
    const { bytesRead } = await this.#file.read(bytes, 0, bytes.length, from * HASH_BYTES);
    return Array.from({ length: Math.floor(bytesRead / HASH_BYTES) }, (_, i) =>
      Uint8Array.from(bytes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)),
    );
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
