import { decode, decodeFirst, type TagDecoder } from 'cborg';
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
const STRICT = {
  strict: true,
  useMaps: true,
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  rejectDuplicateMapKeys: true,
  tags,
};

/** CBOR with definite lengths, shortest numbers, no key twice, and nothing after it. @throws KeysteadError `firmware.malformed`. */
export function decoded(bytes: Uint8Array, field: string): unknown {
  try {
    return decode(bytes, STRICT);
  } catch {
    throw malformed(field, 'no CBOR with definite lengths and each key once');
  }
}

/** The items of a CBOR sequence (RFC 8742), at most `most`. @throws KeysteadError `firmware.malformed`. */
export function sequenceOf(bytes: Uint8Array, most: number, field: string): unknown[] {
  const items: unknown[] = [];
  let rest = bytes;
  while (rest.length > 0) {
    if (items.length === most) throw malformed(field, `more than ${most} items`);
    try {
      const [item, after] = decodeFirst(rest, STRICT);
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
