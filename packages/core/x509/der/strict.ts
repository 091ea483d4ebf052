import { DERElement, ObjectIdentifier } from 'asn1-ts';
import { generalizedTime, time } from './writer.ts';

/**
 * The strict reading of DER (X.690 sections 8, 10 and 11). asn1-ts decodes; this is the gate before it, which adds the
 * rules that the library does not hold to (docs/decisions/0009-reading-der.md). What has two encodings can be signed
 * as one thing and read as another; and what nests or lists without bound would end the process. So the library
 * decodes one element at a time, without its own recursion, and depth and number of elements are bounded here.
 */

/** Why some bytes are not DER, or not the structure that was expected. Readers turn it into a KeysteadError. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** Nothing in X.509, PKCS #10, OCSP or CMS that Keystead reads is nested deeper (a distribution point has 9). */
const MAX_DEPTH = 24;
/** A certificate has about 150 elements; a request with 16 host names about 100. */
const MAX_ELEMENTS = 4096;
/** A CRL number has at most 20 octets; keys and serial numbers are taken as octets, not as numbers. */
const MAX_INTEGER_OCTETS = 32;
/** The longest in use, of Windows certificate templates, have under 40. The library makes a list of all arcs. */
const MAX_OID_OCTETS = 128;

/** One element: its tag octet and where it lies in the source. */
export class DerNode {
  readonly source: Uint8Array;
  /** The identifier octet, for example 0x30 for SEQUENCE. */
  readonly tag: number;
  /** Offset of the identifier octet, of the first content octet, and past the last one. */
  readonly start: number;
  readonly content: number;
  readonly end: number;
  /** The elements inside a constructed one, in order; none for a primitive one. */
  readonly children: DerNode[] = [];

  constructor(source: Uint8Array, tag: number, start: number, content: number, end: number) {
    this.source = source;
    this.tag = tag;
    this.start = start;
    this.content = content;
    this.end = end;
  }

  /** The whole element with its header: a view, not a copy. */
  get bytes(): Uint8Array {
    return this.source.subarray(this.start, this.end);
  }

  /** The content octets: a view, not a copy. */
  get value(): Uint8Array {
    return this.source.subarray(this.content, this.end);
  }

  /** The child at `index`, which must have `tag`. @throws DerError */
  child(index: number, tag: number, what: string): DerNode {
    const node = this.children[index];
    if (node === undefined) throw new DerError(`${what} is missing`);
    return node.expect(tag, what);
  }

  /** This element, which must have `tag`. @throws DerError */
  expect(tag: number, what: string): this {
    if (this.tag !== tag) throw new DerError(`${what} has the tag ${hexTag(this.tag)}, not ${hexTag(tag)}`);
    return this;
  }

  /** This element, which must have from `min` to `max` children. @throws DerError */
  counted(min: number, max: number, what: string): this {
    const count = this.children.length;
    if (count < min || count > max) throw new DerError(`${what} has ${count} elements`);
    return this;
  }
}

/** One for all: to make one takes ten times as long as to decode with it, and each decoding sets all that it holds. */
const element = new DERElement();
const NOTHING = new Uint8Array(0);

/**
 * OIDs that were found to be right, dotted, by their content: a certificate has thirty, and the next one the same. Once it
 * is full, which takes strangers, others are decoded each time.
 */
const knownOids = new Map<string, string>();
const MOST_OIDS = 1024;

/** The octets from `start` to `end` as the key of a map. */
const octets = (source: Uint8Array, start: number, end: number): string =>
  Buffer.from(source.buffer, source.byteOffset + start, end - start).toString('latin1');

/**
 * What `read` takes from the element that the library decodes between two offsets; `size` is that of the element.
 * `read` must not come back here, for there is one element.
 * @throws DerError for whatever the library throws
 */
function decoded<T>(der: Uint8Array, start: number, end: number, read: (size: number) => T): T {
  try {
    // Of a Buffer the library takes the content as a view; of another Uint8Array it would make a copy, at each level.
    return read(element.fromBytes(Buffer.from(der.buffer, der.byteOffset + start, Math.max(0, end - start))));
  } catch (error) {
    if (error instanceof DerError) throw error;
    // Not as the cause: errors of the library hold the element, which is not for logs.
    throw new DerError(`${error instanceof Error ? error.message : 'it cannot be decoded'} (at offset ${start})`);
  } finally {
    // So that no input is held until the next one comes.
    element.value = NOTHING;
  }
}

/**
 * One element by its header alone, without what is in it: for lists that are too long to stand in memory as a tree.
 * @throws DerError when the element at `at` has a header that is not DER or ends outside `limit`.
 */
export function readHeader(der: Uint8Array, at: number, limit: number): DerNode {
  return decoded(der, at, limit, (size) => {
    const { tagClass, construction, tagNumber } = element;
    const { length } = element.value;
    if (tagNumber > 30) throw new DerError(`a tag number above 30 at offset ${at}`);
    const tag = (tagClass << 6) | (construction << 5) | tagNumber;
    if (tag === 0) throw new DerError(`an end-of-contents marker at offset ${at}`);
    // The library takes it for a length of zero.
    if (der[at + 1] === 0x80) throw new DerError(`an indefinite length at offset ${at}`);
    if (size - length !== headerOctets(length)) throw new DerError(`a padded length at offset ${at}`);
    return new DerNode(der, tag, at, at + size - length, at + size);
  });
}

/** How many octets a tag and a length have in the only form of DER (X.690 section 10.1). */
function headerOctets(length: number): number {
  if (length < 0x80) return 2;
  if (length < 0x100) return 3;
  if (length < 0x10000) return 4;
  return length < 0x1000000 ? 5 : 6;
}

/** @throws DerError when a primitive universal value has an encoding that is not the one of DER. */
function checkPrimitive(node: DerNode): void {
  const { source: der, tag, start, content, end } = node;
  const length = end - content;
  const first = der[content] ?? 0;
  const second = der[content + 1] ?? 0;
  const last = der[end - 1] ?? 0;
  const refuse = (wrong: boolean, what: string): void => {
    if (wrong) throw new DerError(`${what} at offset ${start}`);
  };
  switch (tag) {
    case 0x01:
      decoded(der, start, end, () => element.boolean);
      break;
    case 0x02:
    case 0x0a:
      refuse(length === 0, 'an INTEGER without content');
      // The library looks for padding only from three octets on.
      refuse(length > 1 && (first === 0 || first === 0xff) && ((first ^ second) & 0x80) === 0, 'a padded INTEGER');
      break;
    case 0x03:
      // Not by the library: it makes eight numbers of each octet, of 64 KiB a list of half a million.
      refuse(
        length === 0 || first > 7 || (length === 1 ? first !== 0 : (last & ((1 << first) - 1)) !== 0),
        'a BIT STRING with a bad count of unused bits or with unused bits that are set',
      );
      break;
    case 0x05:
      refuse(length !== 0, 'a NULL with content');
      break;
    case 0x06:
      if (length <= MAX_OID_OCTETS && knownOids.has(octets(der, content, end))) break;
      decoded(der, start, end, () => element.objectIdentifier);
      // The library looks for padding from the second octet on.
      refuse(first === 0x80, 'a padded OBJECT IDENTIFIER');
      break;
    case 0x10:
    case 0x11:
      refuse(true, 'a SEQUENCE or SET that is not constructed');
  }
}

/** SET OF: ascending encodings (X.690 section 11.6). */
function checkSetOrder(node: DerNode): void {
  for (let i = 1; i < node.children.length; i += 1) {
    const before = node.children[i - 1];
    const after = node.children[i];
    if (before !== undefined && after !== undefined && Buffer.compare(before.bytes, after.bytes) > 0)
      throw new DerError(`a SET that is not in order at offset ${node.start}`);
  }
}

/**
 * Reads `der` as exactly one DER element with all that is in it. Takes time linear in the input.
 * @throws DerError for anything that is not DER: trailing bytes, BER lengths, padded values, too much nesting.
 */
export function readDer(der: Uint8Array): DerNode {
  const root = readHeader(der, 0, der.length);
  if (root.end !== der.length) throw new DerError(`${der.length - root.end} bytes after the end`);
  const open: DerNode[] = [];
  let node = root;
  let elements = 1;
  for (;;) {
    if (node.tag & 0x20) {
      if ((node.tag & 0xc0) === 0 && node.tag !== 0x30 && node.tag !== 0x31)
        throw new DerError(`a constructed string at offset ${node.start}`);
      open.push(node);
      if (open.length > MAX_DEPTH) throw new DerError(`nested deeper than ${MAX_DEPTH}`);
    } else {
      checkPrimitive(node);
    }
    let parent = open.at(-1);
    while (parent !== undefined && (parent.children.at(-1)?.end ?? parent.content) === parent.end) {
      if (parent.tag === 0x31) checkSetOrder(parent);
      open.pop();
      parent = open.at(-1);
    }
    if (parent === undefined) return root;
    elements += 1;
    if (elements > MAX_ELEMENTS) throw new DerError(`more than ${MAX_ELEMENTS} elements`);
    node = readHeader(der, parent.children.at(-1)?.end ?? parent.content, parent.end);
    parent.children.push(node);
  }
}

/**
 * The dotted form of an OBJECT IDENTIFIER's element (X.690 section 8.19).
 * @throws DerError also for one of more than 128 octets or with an arc from 2^31 on.
 */
export function readOid(node: DerNode | undefined, what: string): string {
  if (node === undefined) throw new DerError(`${what} is missing`);
  const { source, start, end, value } = node.expect(0x06, what);
  if (value.length > MAX_OID_OCTETS) throw new DerError(`${what} has ${value.length} octets`);
  const content = octets(value, 0, value.length);
  const known = knownOids.get(content);
  if (known !== undefined) return known;
  const dotted = decoded(source, start, end, () => {
    const id = element.objectIdentifier;
    const { nodes } = id;
    // The library counts in 32 bits: it reads 2^32 + 840 as 840. Written anew, such a one is not what it was.
    if (nodes.some((arc) => arc < 0) || !ObjectIdentifier.fromParts(nodes).isEqualTo(id))
      throw new DerError(`${what} has an arc from 2^31 on`);
    return nodes.join('.');
  });
  // A padded one is no DER, and is found where the tree is read: a part that was read by its header alone may hold one.
  if (value[0] !== 0x80 && knownOids.size < MOST_OIDS) knownOids.set(content, dotted);
  return dotted;
}

/** The number in an INTEGER or ENUMERATED of at most 32 octets. @throws DerError */
export function readInteger(node: DerNode, what: string): bigint {
  const { source, start, end, value } = node.tag === 0x0a ? node : node.expect(0x02, what);
  if (value.length > MAX_INTEGER_OCTETS) throw new DerError(`${what} has ${value.length} octets`);
  return BigInt(decoded(source, start, end, () => element.integer));
}

/** A whole-octet BIT STRING's content without the count octet. @throws DerError */
export function readOctetBits(node: DerNode, what: string): Uint8Array {
  const value = node.expect(0x03, what).value;
  if (value[0] !== 0) throw new DerError(`${what} is not a whole number of octets`);
  return value.subarray(1);
}

/** The bits of a BIT STRING of at most `most` octets, each as 0 or 1. @throws DerError */
export function readBits(node: DerNode, most: number, what: string): readonly number[] {
  const { source, start, end, value } = node.expect(0x03, what);
  if (value.length > most + 1) throw new DerError(`${what} has more than ${most} octets`);
  return [...decoded(source, start, end, () => element.bitString)];
}

/**
 * A Time (RFC 5280 section 4.1.2.5): UTCTime through 2049, GeneralizedTime after, both to the second and in Zulu.
 * @throws DerError also for a day that does not exist.
 */
export function readTime(node: DerNode | undefined, what: string): Date {
  const utc = node?.tag === 0x17;
  if (node === undefined || (!utc && node.tag !== 0x18)) throw new DerError(`${what} is not a time`);
  const { source, start, end, value } = node;
  const malformed = `${what} is not of the form ${utc ? 'YY' : 'YYYY'}MMDDHHMMSSZ`;
  if (value.length !== (utc ? 13 : 15)) throw new DerError(malformed);
  return decoded(source, start, end, () => {
    const date = utc ? element.utcTime : element.generalizedTime;
    // The library takes blanks and signs in the place of digits, and reads the year 0050 as 1950. DER has one form of
    // a time: the one in which it is written.
    if (Buffer.compare(utc ? time(date) : generalizedTime(date), node.bytes) !== 0) throw new DerError(malformed);
    return date;
  });
}

const hexTag = (tag: number): string => tag.toString(16).padStart(2, '0');
