import { createHash } from 'node:crypto';
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { fromBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { firmwareKeyId } from '@keystead/core/lifecycle';
import { timestampResponse } from '@keystead/core/x509';
import type { RestClient } from '../client/rest.ts';
import { durableWrite } from '../files/durable.ts';
import { StagedFile } from '../files/staged.ts';
import { progressOf } from './progress.ts';

const FILES = '/api/v1/signing/files';

/** A file of this machine, as it was hashed. */
export interface LocalFile {
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
}

/** Hashes a file as a stream. @throws KeysteadError `signing.no-file`. */
export async function localFile(path: string, quiet: boolean): Promise<LocalFile> {
  const progress = progressOf(`hashing ${basename(path)}`, quiet);
  try {
    const { size } = statSync(path);
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) {
      hash.update(piece);
      bytes += piece.length;
      progress.at(bytes, size);
    }
    return { path, sha256: hash.digest('hex'), bytes };
  } catch (cause) {
    throw noFile(path, cause);
  } finally {
    progress.end();
  }
}

/** A small file that the command names. @throws KeysteadError `signing.no-file`. */
export function namedFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw noFile(path, cause);
  }
}

const noFile = (field: string, cause: unknown): KeysteadError =>
  new KeysteadError('signing.no-file', { field, seen: 'no readable file', cause });

/** Hands a file in unless the service has it. */
export async function handIn(client: RestClient, file: LocalFile, quiet: boolean): Promise<void> {
  const { status, body } = await client.ask('GET', `${FILES}/${file.sha256}`);
  // A part that an earlier upload left is never told of: what is there, is there whole.
  if (status === 200 && (body as { bytes?: number }).bytes === file.bytes) return;
  const progress = progressOf(`sending ${basename(file.path)}`, quiet);
  let sent = 0;
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for await (const piece of createReadStream(file.path, { highWaterMark: 256 * 1024 })) {
      sent += piece.length;
      progress.at(sent, file.bytes);
      yield piece;
    }
  }
  try {
    await client.upload(`${FILES}/${file.sha256}`, pieces(), file.bytes);
  } finally {
    progress.end();
  }
}

/** Fetches a result to a file, whole or not at all. @throws KeysteadError `signing.image-differs`. */
export async function fetchTo(client: RestClient, path: string, out: string, sha256: string): Promise<number> {
  const staged = await StagedFile.write(out, await client.download(path), { mode: 0o644 });
  if (staged.sha256 !== sha256) {
    staged.discard();
    throw new KeysteadError('signing.image-differs', {
      field: out,
      seen: `${staged.sha256}, where ${sha256} was told`,
    });
  }
  staged.put();
  return staged.bytes;
}

/** A time stamp beside what was signed, as files: `openssl ts -verify -in RESPONSE -data SIGNATURE`. */
export interface FetchedStamp {
  readonly key: string;
  /** TimeStampResp, DER. */
  readonly response: string;
  readonly signature: string;
}

/**
 * Fetches the time stamps that stand beside a result to files beside `out`: `.tsr` and `.sig`, with the key's id before
 * them where several keys signed. None where the format has them inside, or there are none.
 * @throws KeysteadError `service.bad-answer` for an id that is no name of a file.
 */
export async function fetchStamps(client: RestClient, path: string, out: string): Promise<readonly FetchedStamp[]> {
  const { timestamps } = await client.get<{ timestamps: { key: string; signature: string; token: string }[] }>(path);
  return timestamps.map(({ key, signature, token }) => {
    if (!firmwareKeyId.safeParse(key).success)
      throw new KeysteadError('service.bad-answer', { field: path, seen: 'a key that has no id' });
    const name = timestamps.length === 1 ? out : `${out}.${key}`;
    const stamp = { key, response: `${name}.tsr`, signature: `${name}.sig` };
    durableWrite(stamp.signature, fromBase64(signature), 0o644);
    durableWrite(stamp.response, timestampResponse(fromBase64(token)), 0o644);
    return stamp;
  });
}
