import { decode } from 'cborg/json';
import { malformed } from '../malformed.ts';

/**
 * JSON with one meaning: UTF-8, no member twice, since a signed text that two readers read differently is worth
 * nothing.
 * @throws KeysteadError `firmware.malformed`.
 */
export function strictJson(bytes: Uint8Array, field: string): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    // JSON.parse takes the last of two members without a word; it is asked second, for it makes plain objects of all.
    decode(bytes, { useMaps: true, rejectDuplicateMapKeys: true });
    return JSON.parse(text);
  } catch {
    throw malformed(field, 'no JSON in UTF-8 with each member once');
  }
}
