import { fromBase64 } from '@keystead/core/bytes';

/**
 * RFC 5019 section 5 sends requests of up to 255 bytes, with their encoding, by GET and all others by POST; this
 * leaves room for a nonce and several certificates.
 */
const MAX_PATH_CHARACTERS = 2048;

/**
 * The request in the path of a GET (RFC 6960 appendix A.1): url-encoded base64 of its DER. Clients differ in which
 * of `/`, `+` and `=` they encode; each is taken either way. Undefined when it is not base64.
 */
export function requestOfPath(path: string): Uint8Array | undefined {
  if (path.length === 0 || path.length > MAX_PATH_CHARACTERS) return undefined;
  try {
    const text = decodeURIComponent(path);
    return /\s/.test(text) ? undefined : fromBase64(text);
  } catch {
    return undefined;
  }
}
