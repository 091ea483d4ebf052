/**
 * The strict reading of DER (X.690 sections 8, 10 and 11): one pass, no recursion, and bounds on depth and on the
 * number of elements. It stands before every parser of outside bytes for two reasons. The ASN.1 packages take BER
 * (indefinite lengths, padded lengths, trailing bytes), and what has two encodings can be signed as one thing and
 * read as another; and they recurse, so that a few kilobytes of nested headers would end the process.
 */

/** Why some bytes are not DER, or not the structure that was expected. Readers turn it into a KeysteadError. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

/** Nothing in X.509, PKCS #10, OCSP or CMS that Keystead reads is nested deeper (a distribution point has 9). */
const MAX_DEPTH = 24;
/** A certificate has about 150 elements; a request with 16 host names about 100. */
const MAX_ELEMENTS = 4096;

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

/**
 * One element by its header alone, without what is in it: for lists that are too long to stand in memory as a tree.
 * @throws DerError when the element at `at` has a header that is not DER or ends outside `limit`.
 */
export function readHeader(der: Uint8Array, at: number, limit: number): DerNode {
  const tag = der[at] ?? 0;
  if (at + 2 > limit) throw new DerError(`truncated at offset ${at}`);
  if ((tag & 0x1f) === 0x1f) throw new DerError(`a tag number above 30 at offset ${at}`);
  if (tag === 0) throw new DerError(`an end-of-contents marker at offset ${at}`);
  const first = der[at + 1] ?? 0;
  let content = at + 2;
  let length = first;
  if (first === 0x80) throw new DerError(`an indefinite length at offset ${at}`);
  if (first > 0x80) {
    const octets = first & 0x7f;
    // Four octets of length reach 4 GiB; no input comes near it.
    if (octets > 4) throw new DerError(`a length of ${octets} octets at offset ${at}`);
    content += octets;
    if (content > limit) throw new DerError(`truncated at offset ${at}`);
    length = 0;
    for (let i = at + 2; i < content; i += 1) length = length * 256 + (der[i] ?? 0);
    if (length < 0x80 || length < 256 ** (octets - 1)) throw new DerError(`a padded length at offset ${at}`);
  }
  if (length > limit - content) throw new DerError(`truncated at offset ${at}`);
  return new DerNode(der, tag, at, content, content + length);
}

/** @throws DerError when a primitive universal value has an encoding that is not the one of DER. */
function checkPrimitive(node: DerNode): void {
  const { source: der, tag, content, end } = node;
  const length = end - content;
  const first = der[content] ?? 0;
  const fail = (what: string): never => {
    throw new DerError(`${what} at offset ${node.start}`);
  };
  switch (tag) {
    case 0x01:
      if (length !== 1 || (first !== 0 && first !== 0xff)) fail('a BOOLEAN that is neither 00 nor FF');
      break;
    case 0x02:
    case 0x0a:
      if (length === 0) fail('an INTEGER without content');
      if (length > 1 && (first === 0 || first === 0xff) && ((first ^ (der[content + 1] ?? 0)) & 0x80) === 0)
        fail('a padded INTEGER');
      break;
    case 0x03: {
      const unused = (1 << first) - 1;
      if (
        length === 0 ||
        first > 7 ||
        (length === 1 && first !== 0) ||
        (der[end - 1] ?? 0) & unused & (length > 1 ? 0xff : 0)
      )
        fail('a BIT STRING with a bad count of unused bits or with unused bits that are set');
      break;
    }
    case 0x05:
      if (length !== 0) fail('a NULL with content');
      break;
    case 0x06: {
      if (length === 0 || (der[end - 1] ?? 0) & 0x80) fail('a truncated OBJECT IDENTIFIER');
      for (let i = content; i < end; i += 1)
        if (der[i] === 0x80 && (i === content || ((der[i - 1] ?? 0) & 0x80) === 0)) fail('a padded OBJECT IDENTIFIER');
      break;
    }
    case 0x10:
    case 0x11:
      fail('a SEQUENCE or SET that is not constructed');
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

/** The dotted form of an OBJECT IDENTIFIER's element (X.690 section 8.19). @throws DerError for an arc above 2^53. */
export function readOid(node: DerNode | undefined, what: string): string {
  if (node === undefined) throw new DerError(`${what} is missing`);
  const octets = node.expect(0x06, what).value;
  let text = '';
  let arc = 0;
  for (const octet of octets) {
    arc = arc * 128 + (octet & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER) throw new DerError(`${what} has an arc above 2^53`);
    if (octet & 0x80) continue;
    if (text === '') {
      const top = Math.min(2, Math.floor(arc / 40));
      text = `${top}.${arc - top * 40}`;
    } else {
      text += `.${arc}`;
    }
    arc = 0;
  }
  return text;
}

/** A whole-octet BIT STRING's content without the count octet. @throws DerError */
export function readOctetBits(node: DerNode, what: string): Uint8Array {
  const value = node.expect(0x03, what).value;
  if (value[0] !== 0) throw new DerError(`${what} is not a whole number of octets`);
  return value.subarray(1);
}

const UTC_TIME = /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;

/**
 * A Time (RFC 5280 section 4.1.2.5): UTCTime through 2049, GeneralizedTime after, both to the second and in Zulu.
 * @throws DerError also for a day that does not exist.
 */
export function readTime(node: DerNode | undefined, what: string): Date {
  const utc = node?.tag === 0x17;
  if (node === undefined || (!utc && node.tag !== 0x18)) throw new DerError(`${what} is not a time`);
  const text = Buffer.from(node.value).toString('latin1');
  const match = (utc ? UTC_TIME : GENERALIZED_TIME).exec(text);
  if (match === null) throw new DerError(`${what} is not of the form ${utc ? 'YY' : 'YYYY'}MMDDHHMMSSZ`);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(1).map(Number);
  const full = utc ? (year < 50 ? 2000 + year : 1900 + year) : year;
  const date = new Date(0);
  date.setUTCFullYear(full, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const same = date.getUTCFullYear() === full && date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
  if (!same || hour > 23 || minute > 59 || second > 59) throw new DerError(`${what} is not a time that exists`);
  return date;
}

const hexTag = (tag: number): string => tag.toString(16).padStart(2, '0');
