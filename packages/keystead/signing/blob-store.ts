import { createHash } from 'node:crypto';
import { readdirSync, rmSync, statSync, utimesSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pieces } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { ImageBytes } from '@keystead/core/firmware';
import { durableDirectory, removeUnfinished } from '../files/durable.ts';
import { StagedFile } from '../files/staged.ts';

/** What is kept, by what it is known. */
export interface Blob {
  /** Hex. */
  readonly sha256: string;
  /** Octets. */
  readonly bytes: number;
}

/** A blob that is open: its bytes can be had until it is closed. */
export interface OpenBlob extends ImageBytes, AsyncDisposable {
  readonly sha256: string;
  /** SHA-256 of what lies on the disk now, hex. */
  hash(): Promise<string>;
  /**
   * Hashes it from one end to the other: what lies on a disk is believed by its hash alone.
   * @throws KeysteadError `signing.image-changed`.
   */
  verify(): Promise<void>;
}

/** Octets that are read at once where a file is hashed. */
const PIECE = 512 * 1024;
const NAME = /^[0-9a-f]{64}$/;

/**
 * Files that are known by their SHA-256 and never change: each is written once, durably, under its hash. Memory does not
 * grow with them. Whoever uses one hashes it again, for the disk is not the witness of what people approved.
 */
export class BlobStore {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes the directory and removes what a kill left; before anything is taken. @throws Error of node:fs. */
  open(): void {
    durableDirectory(this.#directory, 0o700);
    removeUnfinished(this.#incoming);
  }

  /**
   * Keeps what comes. When it resolves, the bytes are on disk under their hash.
   * @param expected what its hash must be, hex; what has another is not kept.
   * @throws KeysteadError `signing.image-too-large`, `signing.image-differs`, and what the pieces throw.
   */
  async take(pieces: Pieces, { most, expected }: { readonly most: number; readonly expected?: string }): Promise<Blob> {
    const staged = await StagedFile.write(this.#incoming, bounded(pieces, most), { mode: 0o400 });
    const { bytes, sha256 } = staged;
    if (expected !== undefined && expected !== sha256) {
      staged.discard();
      throw new KeysteadError('signing.image-differs', {
        field: 'sha256',
        seen: `${sha256}, where ${expected} was told`,
      });
    }
    staged.put(this.#path(sha256));
    return { sha256, bytes };
  }

  /** Its size, octets; undefined where there is none. It says nothing of what is in it. */
  sizeOf(sha256: string): number | undefined {
    return statSync(this.#path(sha256), { throwIfNoEntry: false })?.size;
  }

  /** Makes a file count as handed in at `now`: who has looked for it is about to name it. */
  renew(sha256: string, now: Date): void {
    if (this.sizeOf(sha256) !== undefined) utimesSync(this.#path(sha256), now, now);
  }

  /** What was handed in before a time (milliseconds since 1970), by its hash. */
  unusedSince(time: number): string[] {
    const names = readdirSync(this.#directory).filter((name) => NAME.test(name));
    return names.filter((name) => (this.#handedIn(name) ?? time) < time);
  }

  /** Removes a file, unless it came again since `time`. @returns whether it did. @throws Error of node:fs. */
  remove(sha256: string, time: number): boolean {
    if ((this.#handedIn(sha256) ?? time) >= time) return false;
    rmSync(this.#path(sha256));
    return true;
  }

  #handedIn(sha256: string): number | undefined {
    return statSync(this.#path(sha256), { throwIfNoEntry: false })?.mtimeMs;
  }

  /** @throws KeysteadError `signing.image-unknown`. */
  async read(sha256: string): Promise<OpenBlob> {
    let file: FileHandle;
    try {
      file = await open(this.#path(sha256), 'r');
    } catch (cause) {
      throw new KeysteadError('signing.image-unknown', { field: 'sha256', seen: sha256, cause });
    }
    return new BlobFile(file, (await file.stat()).size, sha256);
  }

  /** Where it lies, for who reads it by its path. @throws KeysteadError `signing.image-unknown` for what is no hash. */
  path(sha256: string): string {
    return this.#path(sha256);
  }

  /** What comes, before its hash is known. */
  get #incoming(): string {
    return join(this.#directory, 'incoming');
  }

  #path(sha256: string): string {
    // A name from outside never becomes a path.
    if (!NAME.test(sha256))
      throw new KeysteadError('signing.image-unknown', { field: 'sha256', seen: sha256.slice(0, 80) });
    return join(this.#directory, sha256);
  }
}

class BlobFile implements OpenBlob {
  readonly size: number;
  readonly sha256: string;
  readonly #file: FileHandle;

  constructor(file: FileHandle, size: number, sha256: string) {
    this.#file = file;
    this.size = size;
    this.sha256 = sha256;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, this.size - offset)));
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await this.#file.read(bytes, done, bytes.length - done, offset + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return bytes.subarray(0, done);
  }

  /** SHA-256 of the whole file, hex: one piece is read while the one before is hashed, and nothing is allocated twice. */
  async hash(): Promise<string> {
    const hash = createHash('sha256');
    const [one, two] = [Buffer.allocUnsafe(PIECE), Buffer.allocUnsafe(PIECE)];
    let [now, next] = [one, two];
    let at = 0;
    let reading = this.#file.read(now, 0, PIECE, at);
    for (;;) {
      const { bytesRead } = await reading;
      if (bytesRead === 0) return hash.digest('hex');
      at += bytesRead;
      reading = this.#file.read(next, 0, PIECE, at);
      // What is read ahead fails, if it fails, where it is waited for.
      reading.catch(() => undefined);
      hash.update(bytesRead === PIECE ? now : now.subarray(0, bytesRead));
      [now, next] = [next, now];
    }
  }

  async verify(): Promise<void> {
    const seen = await this.hash();
    if (seen === this.sha256) return;
    throw new KeysteadError('signing.image-changed', { field: this.sha256, seen });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}

async function* bounded(pieces: Pieces, most: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of pieces) {
    bytes += piece.length;
    if (bytes > most)
      throw new KeysteadError('signing.image-too-large', { field: 'body', seen: `more than ${most} bytes` });
    yield piece;
  }
}
