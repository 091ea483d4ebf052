import { KeysteadError } from '../errors/index.ts';
import { TILE_WIDTH } from './tile-path.ts';

/** The largest entry that a bundle can hold, bytes: its length is a uint16 (C2SP tlog-tiles, Log entries). */
export const MAX_ENTRY_BYTES = 0xffff;
/** The largest bundle, bytes. */
export const MAX_BUNDLE_BYTES = TILE_WIDTH * (2 + MAX_ENTRY_BYTES);

/**
 * 1 to 256 entries as one bundle: each with its length before it, uint16 big-endian.
 * @throws KeysteadError `log.entry-too-large`, `log.out-of-range`.
 */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length === 0 || entries.length > TILE_WIDTH) {
    throw new KeysteadError('log.out-of-range', { field: 'entries', seen: `${entries.length} entries` });
  }
  const bundle = Buffer.alloc(entries.reduce((sum, entry) => sum + 2 + entry.length, 0));
  let at = 0;
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) {
      throw new KeysteadError('log.entry-too-large', { field: 'entry', seen: `${entry.length} bytes` });
    }
    at = bundle.writeUInt16BE(entry.length, at);
    bundle.set(entry, at);
    at += entry.length;
  }
  return new Uint8Array(bundle.buffer, bundle.byteOffset, bundle.length);
}

export interface DecodedBundle {
  /** Every whole entry from the start, at most 256. They share memory with the bundle. */
  readonly entries: Uint8Array[];
  /** Whether there is anything after them: a cut entry, or more than 256. */
  readonly garbage: boolean;
}

/**
 * The entries of a bundle. It never throws: a bundle that was cut or damaged gives what can still be read, so
 * that a verifier can name the first entry that is bad.
 */
export function decodeBundle(bundle: Uint8Array): DecodedBundle {
  const view = new DataView(bundle.buffer, bundle.byteOffset, bundle.length);
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < TILE_WIDTH && at + 2 <= bundle.length) {
    const end = at + 2 + view.getUint16(at);
    if (end > bundle.length) break;
    entries.push(bundle.subarray(at + 2, end));
    at = end;
  }
  return { entries, garbage: at !== bundle.length };
}
