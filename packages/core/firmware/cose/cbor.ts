import { decode, decodeFirst, type TagDecoder, Tokenizer } from 'cborg';
import { STRICT_CBOR } from '../../bytes/index.ts';
import { malformed } from '../malformed.ts';

/** A tag that stands where the format has it: its number and what is in it. */
export class Tagged {
  readonly tag: number;
  readonly value: unknown;

  constructor(tag: number, value: unknown) {
    this.tag = tag;
    this.value = value;
  }
}

/** COSE_Sign1 (RFC 9052 section 4.2) and SUIT_Envelope (draft-ietf-suit-manifest-34 section 8.2). */
export const TAGS = { sign1: 18, suitEnvelope: 107 } as const;

const tags = Object.fromEntries(
  Object.values(TAGS).map((tag): [number, TagDecoder] => [tag, (value) => new Tagged(tag, value())]),
);
const STRICT = { ...STRICT_CBOR, tags };

/** An item of one octet becomes an object of two hundred: what is read is bounded by its items too. */
const MOST_ITEMS = 65_536;

/** Items as they come, and no more of them than {@link MOST_ITEMS}. */
class BoundedItems extends Tokenizer {
  #left = MOST_ITEMS;

  override next(): ReturnType<Tokenizer['next']> {
    this.#left -= 1;
    if (this.#left < 0) throw new RangeError(`more than ${MOST_ITEMS} items`);
    return super.next();
  }
}

/** How one text is read; the tokenizer is good for this one. */
const reading = (bytes: Uint8Array) => {
  // A Buffer would give slices that are Buffers.
  const octets = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  return { ...STRICT, tokenizer: new BoundedItems(octets, STRICT) };
};

/** CBOR with definite lengths, shortest numbers, no key twice, at most 65,536 items, and nothing after it. @throws KeysteadError `firmware.malformed`. */
export function decoded(bytes: Uint8Array, field: string): unknown {
  try {
    return decode(bytes, reading(bytes));
  } catch {
    throw malformed(field, 'no CBOR with definite lengths and each key once, of at most 65,536 items');
  }
}

/**
 * Whether the octets begin like a SUIT_Digest (draft-ietf-suit-manifest-34 section 10), also as a lax reader takes one:
 * in another encoding, or with something after it.
 */
export function beginsAsSuitDigest(bytes: Uint8Array): boolean {
  try {
    // The algorithm and at most 64 octets, with room for long heads.
    const [first] = decodeFirst(new Uint8Array(bytes.subarray(0, 256)), { useMaps: true });
    const [algorithm, digest] = Array.isArray(first) ? (first as readonly unknown[]) : [];
    // COSE's hashes are negative numbers, of 16 octets and more (RFC 9054).
    return typeof algorithm === 'number' && algorithm < 0 && digest instanceof Uint8Array && digest.length >= 16;
  } catch {
    return false;
  }
}

/** The items of a CBOR sequence (RFC 8742), at most `most`. @throws KeysteadError `firmware.malformed`. */
export function sequenceOf(bytes: Uint8Array, most: number, field: string): unknown[] {
  const items: unknown[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    if (items.length === most) throw malformed(field, `more than ${most} items`);
    try {
      const [item, after] = decodeFirst(rest, reading(rest));
      items.push(item);
      rest = after;
    } catch {
      throw malformed(field, 'no sequence of CBOR');
    }
  }
  return items;
}

/** The head of an item of major type `major` (RFC 8949 section 3), for writers of tags. */
export function cborHead(major: number, value: number): Uint8Array {
  const first = major << 5;
  if (value < 24) return Uint8Array.of(first | value);
  if (value < 0x100) return Uint8Array.of(first | 24, value);
  const octets = Buffer.alloc(value < 0x10000 ? 3 : 5);
  octets[0] = first | (value < 0x10000 ? 25 : 26);
  if (value < 0x10000) octets.writeUInt16BE(value, 1);
  else octets.writeUInt32BE(value, 1);
  return octets;
}

/** An item under a tag. */
export const cborTagged = (tag: number, item: Uint8Array): Uint8Array => Buffer.concat([cborHead(6, tag), item]);
