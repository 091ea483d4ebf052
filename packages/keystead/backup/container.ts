import { createReadStream, existsSync, renameSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { sameBytes, toHex } from '@keystead/core/bytes';
import { randomBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type BackupManifest, CHUNK_BYTES, parseManifest } from '@keystead/core/lifecycle';
import { removeUnfinished, syncDirectory } from '../files/durable.ts';
import { mapDiskError } from './disk.ts';

/*
 * A backup is one file: magic, the encrypted content (an age file), the SHA-256 of each mebibyte of it, the manifest,
 * its signature, and an end of fixed length that says how long these two are. Written from front to back, so that
 * nothing has to be held or written twice. A slip is the same without content: what a custodian needs of a backup.
 */
const MAGIC = Buffer.from('keystead-backup/1\n', 'latin1');
const SLIP_MAGIC = Buffer.from('keystead-backup-slip/1\n', 'latin1');
const END = /^keystead-backup-end (\d{10}) (\d{4})\n$/;
const END_BYTES = 36;
const HASH_BYTES = 32;
const MOST_MANIFEST_BYTES = 1024 * 1024;
const MODE = 0o600;

const endOf = (manifest: number, signature: number): Buffer =>
  Buffer.from(`keystead-backup-end ${String(manifest).padStart(10, '0')} ${String(signature).padStart(4, '0')}\n`);

/** Writes a backup beside its place and puts it there when it is whole and on the disk. */
export class ContainerWriter {
  readonly #path: string;
  readonly #temporary: string;
  readonly #file: FileHandle;
  #bytes = 0;
  #chunk = Buffer.alloc(CHUNK_BYTES);
  #filled = 0;
  readonly #hashes: Uint8Array[] = [];

  private constructor(path: string, temporary: string, file: FileHandle) {
    this.#path = path;
    this.#temporary = temporary;
    this.#file = file;
  }

  /** @throws KeysteadError `backup.exists`, `backup.unreadable`, `backup.disk-full`. */
  static async create(path: string): Promise<ContainerWriter> {
    requireFree(path);
    const temporary = join(dirname(path), `.${basename(path)}.${toHex(randomBytes(8))}.tmp`);
    try {
      removeUnfinished(path);
      const file = await open(temporary, 'wx', MODE);
      await file.write(MAGIC);
      return new ContainerWriter(path, temporary, file);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw mapDiskError(error, path);
    }
  }

  /** Adds to the content. @throws KeysteadError `backup.disk-full`. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(CHUNK_BYTES - this.#filled, bytes.length - at);
      this.#chunk.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === CHUNK_BYTES) await this.#flush();
    }
  }

  /** Ends the content. @returns what the manifest says of it. */
  async endContent(): Promise<{ bytes: number; chunkBytes: typeof CHUNK_BYTES; chunksSha256: string }> {
    if (this.#filled > 0) await this.#flush();
    const list = Buffer.concat(this.#hashes);
    await this.#append(list);
    return { bytes: this.#bytes, chunkBytes: CHUNK_BYTES, chunksSha256: toHex(sha256(list)) };
  }

  /** Adds manifest and signature, and puts the file in its place, durably. @throws KeysteadError `backup.exists`. */
  async seal(manifest: Uint8Array, signature: Uint8Array): Promise<void> {
    await this.#append(Buffer.concat([manifest, signature, endOf(manifest.length, signature.length)]));
    await this.#file.sync();
    await this.#file.close();
    requireFree(this.#path);
    renameSync(this.#temporary, this.#path);
    syncDirectory(dirname(this.#path));
  }

  /** Removes what was written. */
  async abandon(): Promise<void> {
    await this.#file.close().catch(() => {});
    rmSync(this.#temporary, { force: true });
  }

  async #flush(): Promise<void> {
    const chunk = this.#chunk.subarray(0, this.#filled);
    this.#hashes.push(sha256(chunk));
    this.#bytes += chunk.length;
    this.#filled = 0;
    await this.#append(chunk);
  }

  async #append(bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) done += (await this.#file.write(bytes, done)).bytesWritten;
    } catch (error) {
      throw mapDiskError(error, this.#path);
    }
  }
}

function requireFree(path: string): void {
  if (existsSync(path)) throw new KeysteadError('backup.exists', { field: 'out', seen: path });
}

/** A backup file as it lies there. Nothing of it is verified but its form. */
export interface Container {
  readonly path: string;
  readonly manifest: BackupManifest;
  readonly manifestBytes: Uint8Array;
  readonly signature: Uint8Array;
  /** False for a slip. */
  readonly hasContent: boolean;
}

/**
 * Reads the end of a backup file, or a slip.
 * @throws KeysteadError `backup.unreadable`, `backup.malformed`, `backup.damaged`, and as `parseManifest`.
 */
export async function readContainer(path: string): Promise<Container> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    throw mapDiskError(error, path);
  }
  try {
    return await readParts(path, file, (await file.stat()).size);
  } catch (error) {
    throw mapDiskError(error, path);
  } finally {
    await file.close();
  }
}

async function readParts(path: string, file: FileHandle, size: number): Promise<Container> {
  const malformed = (seen: string): KeysteadError => new KeysteadError('backup.malformed', { field: path, seen });
  const head = await readAt(file, 0, SLIP_MAGIC.length);
  const hasContent = sameBytes(head.subarray(0, MAGIC.length), MAGIC);
  if (!hasContent && !sameBytes(head, SLIP_MAGIC)) throw malformed('another beginning');
  const start = hasContent ? MAGIC.length : SLIP_MAGIC.length;
  const end = END.exec((await readAt(file, size - END_BYTES, END_BYTES)).toString('latin1'));
  if (end === null) throw malformed('another end: it was cut off, or is not whole');
  const manifestBytes = Number(end[1]);
  const signatureBytes = Number(end[2]);
  const at = size - END_BYTES - signatureBytes - manifestBytes;
  if (at < start || manifestBytes > MOST_MANIFEST_BYTES) throw malformed('lengths that do not fit');
  const manifest = await readAt(file, at, manifestBytes);
  const parsed = parseManifest(manifest);
  const content = hasContent ? parsed.payload.bytes + HASH_BYTES * chunksOf(parsed) : 0;
  if (start + content !== at) {
    throw new KeysteadError('backup.damaged', { field: path, seen: `${at - start} bytes of content, of ${content}` });
  }
  const signature = await readAt(file, at + manifestBytes, signatureBytes);
  return { path, manifest: parsed, manifestBytes: manifest, signature, hasContent };
}

const chunksOf = ({ payload }: BackupManifest): number => Math.ceil(payload.bytes / CHUNK_BYTES);

/** The encrypted content, as a stream. */
export function contentOf({ path, manifest }: Container): ReadableStream<Uint8Array> {
  const { bytes } = manifest.payload;
  const source = createReadStream(path, {
    start: MAGIC.length,
    end: MAGIC.length + bytes - 1,
    highWaterMark: CHUNK_BYTES,
  });
  return ReadableStream.from(source as AsyncIterable<Uint8Array>);
}

/**
 * Compares each chunk of the content with its hash and the hashes with the manifest. Nothing is decrypted.
 * @throws KeysteadError `backup.damaged` with the first chunk that differs, `backup.unreadable`.
 */
export async function verifyContent(
  container: Container,
  onProgress: (bytes: number) => void = () => {},
): Promise<void> {
  const { path, manifest } = container;
  const damaged = (seen: string): KeysteadError => new KeysteadError('backup.damaged', { field: path, seen });
  if (!container.hasContent)
    throw new KeysteadError('backup.malformed', { field: path, seen: 'a slip, without content' });
  const { bytes, chunksSha256 } = manifest.payload;
  const file = await open(path, 'r');
  try {
    const list = await readAt(file, MAGIC.length + bytes, HASH_BYTES * chunksOf(manifest));
    if (toHex(sha256(list)) !== chunksSha256) throw damaged('another list of chunks than the signed one');
    for (let index = 0, at = 0; at < bytes; index += 1, at += CHUNK_BYTES) {
      const chunk = await readAt(file, MAGIC.length + at, Math.min(CHUNK_BYTES, bytes - at));
      const hash = list.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
      if (!sameBytes(sha256(chunk), hash)) throw damaged(`bytes ${at} to ${at + chunk.length - 1} of the content`);
      onProgress(at + chunk.length);
    }
  } catch (error) {
    throw mapDiskError(error, path);
  } finally {
    await file.close();
  }
}

/** The slip of a backup: manifest and signature without the content. */
export const slipOf = ({ manifestBytes, signature }: Container): Uint8Array =>
  Buffer.concat([SLIP_MAGIC, manifestBytes, signature, endOf(manifestBytes.length, signature.length)]);

async function readAt(file: FileHandle, at: number, count: number): Promise<Buffer> {
  const cut = (): KeysteadError =>
    new KeysteadError('backup.malformed', { field: 'backup file', seen: 'it is too short' });
  if (at < 0) throw cut();
  const bytes = Buffer.alloc(count);
  for (let done = 0; done < count; ) {
    const { bytesRead } = await file.read(bytes, done, count - done, at + done);
    if (bytesRead === 0) throw cut();
    done += bytesRead;
  }
  return bytes;
}
