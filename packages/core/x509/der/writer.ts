/**
 * A DER encoder (X.690), nothing else: the issuing path writes certificates, CRLs and OCSP answers from
 * pre-encoded parts and is too hot for a general ASN.1 object model. What is read passes `strict.ts`.
 */

/** `tag` followed by the definite length and the content (X.690 section 10.1). */
export function tlv(tag: number, ...content: Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of content) length += part.length;
  const header = length < 0x80 ? 2 : length < 0x100 ? 3 : length < 0x10000 ? 4 : length < 0x1000000 ? 5 : 6;
  const out = new Uint8Array(header + length);
  out[0] = tag;
  if (header === 2) {
    out[1] = length;
  } else {
    out[1] = 0x80 | (header - 2);
    for (let i = header - 1, rest = length; i > 1; i -= 1, rest = Math.floor(rest / 256)) out[i] = rest & 0xff;
  }
  let at = header;
  for (const part of content) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const sequence = (...parts: Uint8Array[]): Uint8Array => tlv(0x30, ...parts);

/** SET OF: the members are put in ascending order of their encoding (X.690 section 11.6). */
export const setOf = (...parts: Uint8Array[]): Uint8Array => tlv(0x31, ...[...parts].sort(Buffer.compare));

/** A constructed, context-specific [n] EXPLICIT (or a constructed IMPLICIT) wrapper. */
export const context = (n: number, ...parts: Uint8Array[]): Uint8Array => tlv(0xa0 | n, ...parts);

/** A primitive, context-specific [n] IMPLICIT value. */
export const contextPrimitive = (n: number, content: Uint8Array): Uint8Array => tlv(0x80 | n, content);

export const octetString = (content: Uint8Array): Uint8Array => tlv(0x04, content);

/** BIT STRING of whole octets, or with `unused` bits at the end. */
export const bitString = (content: Uint8Array, unused = 0): Uint8Array => tlv(0x03, Uint8Array.of(unused), content);

/**
 * A named-bit-list BIT STRING from bit numbers, trailing zero bits removed (X.690 section 11.2.2).
 */
export function namedBits(bits: readonly number[]): Uint8Array {
  const highest = Math.max(-1, ...bits);
  if (highest < 0) return bitString(new Uint8Array(0));
  const content = new Uint8Array(Math.floor(highest / 8) + 1);
  for (const bit of bits) content[bit >> 3] = (content[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return bitString(content, 7 - (highest & 7));
}

/** INTEGER from unsigned big-endian octets; leading zero octets are dropped and a sign octet added as needed. */
export function integerFromBytes(unsigned: Uint8Array): Uint8Array {
  let start = 0;
  while (start < unsigned.length - 1 && unsigned[start] === 0) start += 1;
  const magnitude = unsigned.length === 0 ? Uint8Array.of(0) : unsigned.subarray(start);
  return (magnitude[0] ?? 0) & 0x80 ? tlv(0x02, Uint8Array.of(0), magnitude) : tlv(0x02, magnitude);
}

/** INTEGER from a non-negative safe integer. @throws RangeError for a negative or unsafe number. */
export function integer(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError('a non-negative safe integer is needed');
  const hex = value.toString(16);
  return integerFromBytes(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'));
}

/** ENUMERATED from 0 to 127. */
export const enumerated = (value: number): Uint8Array => tlv(0x0a, Uint8Array.of(value));

/** BOOLEAN TRUE. DER leaves out a FALSE that is the default, so FALSE is never written. */
export const booleanTrue = (): Uint8Array => Uint8Array.of(0x01, 0x01, 0xff);

export const nullValue = (): Uint8Array => Uint8Array.of(0x05, 0x00);

/** OBJECT IDENTIFIER from its dotted form (X.690 section 8.19). */
export function oid(dotted: string): Uint8Array {
  const arcs = dotted.split('.').map(Number);
  const [first = 0, second = 0, ...rest] = arcs;
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128))
      groups.unshift((left & 0x7f) | 0x80);
    octets.push(...groups);
  }
  return tlv(0x06, Uint8Array.from(octets));
}

export const utf8String = (text: string): Uint8Array => tlv(0x0c, Buffer.from(text, 'utf8'));
export const printableString = (text: string): Uint8Array => tlv(0x13, Buffer.from(text, 'latin1'));
export const ia5String = (text: string): Uint8Array => tlv(0x16, Buffer.from(text, 'latin1'));

/** GeneralizedTime YYYYMMDDHHMMSSZ, without fractions (RFC 5280 section 4.1.2.5.2). */
export const generalizedTime = (time: Date): Uint8Array =>
  tlv(0x18, Buffer.from(`${time.toISOString().replace(/[-:T]|\.\d+Z$/g, '')}Z`, 'latin1'));

/** UTCTime through 2049, GeneralizedTime from 2050 on (RFC 5280 section 4.1.2.5). */
export function time(value: Date): Uint8Array {
  const year = value.getUTCFullYear();
  if (year < 1950 || year > 2049) return generalizedTime(value);
  return tlv(
    0x17,
    Buffer.from(
      `${value
        .toISOString()
        .slice(2)
        .replace(/[-:T]|\.\d+Z$/g, '')}Z`,
      'latin1',
    ),
  );
}
