import type { Agent } from 'node:http';
import { httpGet } from './http-get.ts';

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
export async function fetchCrl(
  url: string,
  etag: string | undefined,
  { largest = 16 * 1024 * 1024, ...options }: CrlFetchOptions = {},
): Promise<CrlAnswer> {
  const answer = await httpGet(url, { ...options, largest, etag });
  return 'unchanged' in answer ? answer : { der: answer.body, etag: answer.etag };
}
