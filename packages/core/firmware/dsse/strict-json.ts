import { decode, Tokenizer } from 'cborg/json';
import { malformed } from '../malformed.ts';

/** An SBOM of 4 MiB has 300,000 members and values; as many empty objects as fit there would fill the memory. */
const MOST_TOKENS = 1_000_000;
const STRICT = { useMaps: true, rejectDuplicateMapKeys: true };

class BoundedTokens extends Tokenizer {
  #left = MOST_TOKENS;

  override next(): ReturnType<Tokenizer['next']> {
    this.#left -= 1;
    if (this.#left < 0) throw new RangeError(`more than ${MOST_TOKENS} tokens`);
    return super.next();
  }
}

/**
 * JSON with one meaning: UTF-8, no member twice, since a signed text that two readers read differently is worth
 * nothing.
 * @throws KeysteadError `firmware.malformed`.
 */
export function strictJson(bytes: Uint8Array, field: string): unknown {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    // JSON.parse takes the last of two members without a word; it is asked second, for it makes plain objects of all.
    decode(bytes, { ...STRICT, tokenizer: new BoundedTokens(bytes, STRICT) });
    return JSON.parse(text);
  } catch {
    throw malformed(field, 'no JSON in UTF-8 with each member once');
  }
}
