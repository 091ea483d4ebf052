import { decodeFirst, encode } from 'cborg';
import { STRICT_CBOR, sameBytes } from '../../bytes/index.ts';
import { type ErrorCode, KeysteadError } from '../../errors/index.ts';

/** Above what any authenticator of today sends: an attestation object with an RSA key has about 1 KiB. */
export const MOST_BYTES = 4096;

export const refused = (code: ErrorCode, field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError(code, { field, seen, cause });

export const malformed = (field: string, seen: string, cause?: unknown): KeysteadError =>
  refused('webauthn.malformed', field, seen, cause);

/** @throws KeysteadError `webauthn.malformed`. */
export function requireBounded(bytes: Uint8Array, field: string): void {
  if (bytes.length > MOST_BYTES) throw malformed(field, `${bytes.length} bytes of at most ${MOST_BYTES}`);
}

/**
 * The first item of CBOR in CTAP2's canonical form (CTAP 2.1 section 8): definite lengths, the shortest heads, keys of
 * maps in order and once. Bounded by the caller; nesting that would exhaust the stack is refused as anything else is.
 * @returns the item, its own bytes and what stands behind it.
 * @throws KeysteadError `webauthn.malformed`.
 */
export function firstItem(bytes: Uint8Array, field: string): { value: unknown; item: Uint8Array; rest: Uint8Array } {
  try {
    const [value, rest] = decodeFirst(bytes, STRICT_CBOR) as [unknown, Uint8Array];
    const item = bytes.subarray(0, bytes.length - rest.length);
    if (sameBytes(encode(value), item)) return { value, item, rest };
  } catch (cause) {
    throw malformed(field, 'no CBOR', cause);
  }
  throw malformed(field, 'CBOR in another encoding than the canonical one');
}

/** As {@link firstItem}, where nothing may stand behind it. */
export function onlyItem(bytes: Uint8Array, field: string): unknown {
  requireBounded(bytes, field);
  const { value, rest } = firstItem(bytes, field);
  if (rest.length > 0) throw malformed(field, `${rest.length} bytes behind its end`);
  return value;
}
