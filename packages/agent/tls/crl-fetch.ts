import { type Agent, request } from 'node:http';
import { KeysteadError } from '@keystead/core/errors';

/** An answer of a distribution point: the CRL, or that it is the one of this ETag still. */
export type CrlAnswer = { readonly unchanged: true } | { readonly der: Uint8Array; readonly etag?: string };

export interface CrlFetchOptions {
  readonly agent?: Agent;
  /** How long to wait for the whole answer, milliseconds; default 5000. */
  readonly timeoutMs?: number;
  /** The largest CRL that is taken, bytes; default 16 MiB. */
  readonly largest?: number;
}

/**
 * Asks a distribution point for its CRL by HTTP GET, with the ETag of the one that is held. What comes is from
 * anybody: it is for the caller to verify.
 * @throws KeysteadError `peer.unreachable`
 */
export function fetchCrl(url: string, etag: string | undefined, options: CrlFetchOptions = {}): Promise<CrlAnswer> {
  const { agent, timeoutMs = 5000, largest = 16 * 1024 * 1024 } = options;
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
          if (length > largest) response.destroy(new Error('the CRL is too large'));
          else parts.push(part);
        });
        response.on('error', failed);
        response.on('end', () => {
          if (response.statusCode === 304 && etag !== undefined) resolve({ unchanged: true });
          else if (response.statusCode === 200) resolve({ der: Buffer.concat(parts), etag: response.headers.etag });
          else reject(new KeysteadError('peer.unreachable', { field: url, seen: `HTTP ${response.statusCode}` }));
        });
      },
    );
    sent.on('error', failed);
    sent.end();
  });
}
