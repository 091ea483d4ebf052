import { type Agent, request } from 'node:http';
import { KeysteadError } from '@keystead/core/errors';

/** What a plain HTTP server answers: a file, or that it is the one of this ETag still. */
export type HttpFile = { readonly unchanged: true } | { readonly body: Uint8Array; readonly etag?: string };

export interface HttpGetOptions {
  /** The ETag of the file that is held already. */
  readonly etag?: string;
  readonly agent?: Agent;
  /** How long to wait for the whole answer, milliseconds; default 5000. */
  readonly timeoutMs?: number;
  /** The largest file that is taken, bytes. */
  readonly largest: number;
}

/**
 * Gets a file by plain HTTP. What comes is from anybody: it is for the caller to verify.
 * @throws KeysteadError `peer.unreachable` with the URL and why; `seen` is `HTTP <status>` where an answer came.
 */
export function httpGet(url: string, { etag, agent, timeoutMs = 5000, largest }: HttpGetOptions): Promise<HttpFile> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error): void =>
      reject(new KeysteadError('peer.unreachable', { field: url, seen: cause.message, cause }));
    const headers = etag === undefined ? {} : { 'if-none-match': etag };
    const sent = request(
      url,
      { ...(agent === undefined ? {} : { agent }), headers, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        const parts: Buffer[] = [];
        let length = 0;
        response.on('data', (part: Buffer) => {
          length += part.length;
          if (length > largest) response.destroy(new Error(`the file is larger than ${largest} bytes`));
          else parts.push(part);
        });
        response.on('error', failed);
        response.on('end', () => {
          if (response.statusCode === 304 && etag !== undefined) resolve({ unchanged: true });
          else if (response.statusCode === 200) resolve({ body: Buffer.concat(parts), etag: response.headers.etag });
          else reject(new KeysteadError('peer.unreachable', { field: url, seen: `HTTP ${response.statusCode}` }));
        });
      },
    );
    sent.on('error', failed);
    sent.end();
  });
}
