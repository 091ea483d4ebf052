import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { namesEtag } from '../http/etag.ts';
import { type PublishedFile, publishedFile } from './published-file.ts';

export interface LogHandlerDeps {
  /** The log's directory, as the publisher writes it. */
  readonly dir: string;
  /** Told of failures; the client only sees 500. */
  readonly onFailure?: (error: unknown) => void;
  /** Where the log stands: `/log/` gives `/log/checkpoint`. */
  readonly prefix?: string;
}

export interface LogHandler {
  /** Answers the request when its path is under the prefix; false when it is another's. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
}

/** Requests of one connection that may wait for an answer. Clients that ask ahead ask for a few. */
const MOST_WAITING = 64;

interface Turn {
  waiting: number;
  last: Promise<void>;
}

/**
 * The audit log over HTTP as C2SP tlog-tiles has it: `<prefix>checkpoint`, `<prefix>tile/…`, and the archive
 * `<prefix>checkpoints`. It is trusted with nothing: all that it serves is proven by the checkpoint's signatures, and
 * any cache or static file server can stand in its place. REQ-KEY-AUD-01
 */
export function createLogHandler({ dir, onFailure, prefix = '/log/' }: LogHandlerDeps): LogHandler {
  return {
    handle(request, response) {
      const url = request.url ?? '';
      if (!url.startsWith(prefix)) return false;
      // The path is one of a fixed grammar or nothing: there is no decoding in which `..` could hide.
      const file = publishedFile(url.slice(prefix.length));
      response.setHeader('X-Content-Type-Options', 'nosniff');
      if (file === undefined) {
        end(response, 404);
      } else if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD');
        response.setHeader('Connection', 'close');
        end(response, 405);
      } else {
        inTurn(request.socket, async () => {
          try {
            await serve(dir, file, request, response);
          } catch (error) {
            if (isAborted(error)) return;
            onFailure?.(error);
            if (response.headersSent) response.destroy();
            else end(response, 500);
          }
        });
      }
      return true;
    },
  };
}

const turns = new WeakMap<Socket, Turn>();

/**
 * One file is open for one connection at a time: who sends a thousand requests at once and reads no answer would
 * otherwise hold a thousand. Who has more waiting than anybody needs is hung up on.
 */
function inTurn(socket: Socket, work: () => Promise<void>): void {
  const turn = turns.get(socket) ?? { waiting: 0, last: Promise.resolve() };
  turns.set(socket, turn);
  if (turn.waiting >= MOST_WAITING) {
    socket.destroy();
    return;
  }
  turn.waiting += 1;
  turn.last = turn.last
    .then(() => (socket.destroyed ? undefined : work()))
    .finally(() => {
      turn.waiting -= 1;
    });
}

async function serve(
  dir: string,
  file: PublishedFile,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const handle = await openPublished(join(dir, file.path));
  if (handle === undefined) {
    // A tile that is not there yet may be there soon.
    response.setHeader('Cache-Control', 'no-store');
    end(response, 404);
    return;
  }
  try {
    const { size, mtimeMs, ino } = await handle.stat();
    response.setHeader('Cache-Control', file.cacheControl);
    response.setHeader('Content-Type', file.type);
    if (file.compress) response.setHeader('Vary', 'Accept-Encoding');
    const gzip = file.compress && acceptsGzip(request.headers['accept-encoding']);
    if (file.mutable) {
      // The publisher replaces or extends the file: one of these three is another then.
      const etag = `"${ino.toString(16)}-${size.toString(16)}-${Math.floor(mtimeMs).toString(16)}${gzip ? '-gzip' : ''}"`;
      response.setHeader('ETag', etag);
      if (namesEtag(request.headers['if-none-match'], etag)) {
        end(response, 304);
        return;
      }
    }
    if (gzip) response.setHeader('Content-Encoding', 'gzip');
    else response.setHeader('Content-Length', size);
    response.writeHead(200);
    if (request.method === 'HEAD' || size === 0) response.end();
    // What is appended meanwhile belongs to the next answer.
    else if (gzip) await pipeline(handle.createReadStream({ end: size - 1, autoClose: false }), createGzip(), response);
    else await pipeline(handle.createReadStream({ end: size - 1, autoClose: false }), response);
  } finally {
    await handle.close();
  }
}

/** Opens a plain file that is no link; undefined when there is none. @throws Error of node:fs. */
async function openPublished(path: string): Promise<FileHandle | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP') return undefined;
    throw error;
  }
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  return undefined;
}

function acceptsGzip(header: string | string[] | undefined): boolean {
  return [header ?? '']
    .flat()
    .join(',')
    .split(',')
    .some((one) => /^\s*(?:gzip|x-gzip)\s*(?:;\s*q=(?!0(?:\.0*)?\s*$)[\d.]+\s*)?$/i.test(one));
}

/** The client hung up while it was being answered: no failure of ours. */
const isAborted = (error: unknown): boolean =>
  error instanceof Error &&
  'code' in error &&
  (error.code === 'ERR_STREAM_PREMATURE_CLOSE' || error.code === 'ECONNRESET');

/** An answer without a body. */
function end(response: ServerResponse, status: number): void {
  if (!response.headersSent) response.writeHead(status, status === 304 ? {} : { 'Content-Length': 0 });
  response.end();
}
