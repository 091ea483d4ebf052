import { constants } from 'node:fs';
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';

/** The files of a published log, by path under its directory. When a call returns, its effect is on disk. */
export interface LogFiles {
  /** The content, or undefined when there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Replaces a file as a whole: a reader, also after a power cut, sees the old content or the new. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  /** Adds to the end of a file. A power cut may leave a part of `bytes`. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Cuts a file to `size` bytes. */
  truncate(path: string, size: number): Promise<void>;
  /** The last `count` bytes of a file and its size; nothing when there is no such file. */
  tail(path: string, count: number): Promise<{ readonly bytes: Uint8Array; readonly size: number }>;
  /** The names in a directory; none when there is no such directory. */
  list(path: string): Promise<string[]>;
  /** Removes a file, or a directory with what is in it. Not durable: what comes back is removed again. */
  remove(path: string): Promise<void>;
}

/** Readable by everybody who may enter the directory: the log is published. */
const MODE = 0o644;

/**
 * The log's directory on disk. Unlike the files of keys, it is written by the process that serves requests, so
 * nothing here blocks it while the disk is busy.
 */
export class LogDirectory implements LogFiles {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    try {
      const file = await open(join(this.#dir, path), 'r');
      try {
        return await file.readFile();
      } finally {
        await file.close();
      }
    } catch (error) {
      return missing(error);
    }
  }

  async write(path: string, bytes: Uint8Array): Promise<void> {
    const target = join(this.#dir, path);
    await makeDirectory(dirname(target));
    const temporary = join(dirname(target), `.${basename(target)}.${toHex(randomBytes(6))}.tmp`);
    try {
      const file = await open(temporary, 'wx', MODE);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(dirname(target));
  }

  async append(path: string, bytes: Uint8Array): Promise<void> {
    const target = join(this.#dir, path);
    await makeDirectory(dirname(target));
    const file = await open(target, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, MODE);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await syncDirectory(dirname(target));
  }

  async truncate(path: string, size: number): Promise<void> {
    const file = await open(join(this.#dir, path), 'r+');
    try {
      await file.truncate(size);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async tail(path: string, count: number): Promise<{ bytes: Uint8Array; size: number }> {
    try {
      const file = await open(join(this.#dir, path), 'r');
      try {
        const { size } = await file.stat();
        const bytes = Buffer.alloc(Math.min(count, size));
        await file.read(bytes, 0, bytes.length, size - bytes.length);
        return { bytes, size };
      } finally {
        await file.close();
      }
    } catch (error) {
      return missing(error) ?? { bytes: new Uint8Array(), size: 0 };
    }
  }

  async list(path: string): Promise<string[]> {
    try {
      return await readdir(join(this.#dir, path));
    } catch (error) {
      return missing(error) ?? [];
    }
  }

  async remove(path: string): Promise<void> {
    await rm(join(this.#dir, path), { recursive: true, force: true });
  }
}

/** Makes a directory and its parents, each durable in the one above. */
async function makeDirectory(dir: string): Promise<void> {
  if (await isDirectory(dir)) return;
  await makeDirectory(dirname(dir));
  await mkdir(dir, { recursive: true, mode: 0o755 });
  await syncDirectory(dirname(dir));
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    return missing(error) ?? false;
  }
}

async function syncDirectory(dir: string): Promise<void> {
  const handle = await open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Undefined when the error says that there is no such file; anything else is thrown on. */
function missing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
  throw error;
}
