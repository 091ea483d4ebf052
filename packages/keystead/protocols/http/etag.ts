import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';

/** A strong entity tag of a body: the first half of its SHA-256 (RFC 9110 section 8.8.3), with its quotes. */
export const etagOf = (body: Uint8Array): string => `"${toHex(sha256(body).subarray(0, 16))}"`;

/** Whether an If-None-Match header names `etag`; weak tags compare as strong ones (RFC 9110 section 13.1.2). */
export function namesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(',').some((one) => {
    const tag = one.trim();
    return tag === '*' || tag === etag || tag === `W/${etag}`;
  });
}

/**
 * Whether the client has this representation: by If-None-Match, and only where that is absent by If-Modified-Since (RFC
 * 9110 section 13.1.3).
 */
export function notModified(
  headers: { readonly 'if-none-match'?: string; readonly 'if-modified-since'?: string },
  etag: string,
  lastModified: Date,
): boolean {
  if (headers['if-none-match'] !== undefined) return namesEtag(headers['if-none-match'], etag);
  const since = Date.parse(headers['if-modified-since'] ?? '');
  return Math.floor(lastModified.getTime() / 1000) * 1000 <= since;
}
