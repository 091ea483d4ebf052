import { createHash } from 'node:crypto';
import { createReadStream, renameSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { toHex } from '@keystead/core/bytes';
import { type Pieces, randomBytes } from '@keystead/core/crypto';
import { syncDirectory } from './durable.ts';

export interface StagedOptions {
  /** Permission bits, exactly, from before the first byte is written. */
  readonly mode: number;
  /** False for what is made again after a power cut: nothing is waited for then. */
  readonly durable?: boolean;
}

/**
 * The next content of a file, whole and under another name beside it, until it is put in place or discarded: for
 * content that is too long to stand in memory, and for what is to be recorded between the two. A kill leaves a file as
 * `durableWrite` does, which `removeUnfinished` removes.
 */
export class StagedFile {
  readonly bytes: number;
  /** SHA-256 of the content, hex. */
  readonly sha256: string;
  readonly #path: string;
  readonly #temporary: string;
  readonly #durable: boolean;

  private constructor(path: string, temporary: string, durable: boolean, bytes: number, sha256: string) {
    this.#path = path;
    this.#temporary = temporary;
    this.#durable = durable;
    this.bytes = bytes;
    this.sha256 = sha256;
  }

  /** Writes the pieces beside `path`. @throws Error of node:fs, and what the pieces throw; nothing is left then. */
  static async write(path: string, pieces: Pieces, { mode, durable = true }: StagedOptions): Promise<StagedFile> {
    const temporary = join(dirname(path), `.${basename(path)}.${toHex(randomBytes(8))}.tmp`);
    const hash = createHash('sha256');
    let bytes = 0;
    try {
      const file = await open(temporary, 'wx', mode & 0o700);
      try {
        await file.chmod(mode);
        for await (const piece of pieces) {
          hash.update(piece);
          // write(2) may take less than it was given.
          for (let done = 0; done < piece.length; ) {
            const { bytesWritten } = await file.write(piece, done, piece.length - done, bytes + done);
            done += bytesWritten;
          }
          bytes += piece.length;
        }
        if (durable) await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    return new StagedFile(path, temporary, durable, bytes, hash.digest('hex'));
  }

  /** A copy of the file `from`. */
  static copy(from: string, path: string, options: StagedOptions): Promise<StagedFile> {
    return StagedFile.write(path, createReadStream(from, { highWaterMark: 256 * 1024 }), options);
  }

  /**
   * Puts it in place: readers see the old content or this one.
   * @param path another place in the same directory, for what is known by its hash.
   * @throws Error of node:fs.
   */
  put(path = this.#path): void {
    renameSync(this.#temporary, path);
    if (this.#durable) syncDirectory(dirname(path));
  }

  discard(): void {
    rmSync(this.#temporary, { force: true });
  }
}
