import { type SpkiSha256, toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import type { Block, BlockForm, Ribbon } from './block.ts';
import { BAND, columnWords } from './ribbon.ts';

/** A revocation filter as a file tells it. All times are whole seconds since 1970. */
export interface FilterFile {
  /** The filter that this one changes, by the SHA-256 of its file, hex; undefined for one that stands alone. */
  readonly base: string | undefined;
  /** When the records were read that it was built from. */
  readonly date: number;
  /** Certificates are covered whose notBefore is not later than this; a block may say less of its issuer's. */
  readonly through: number;
  /** It says nothing from here on. */
  readonly expires: number;
  /** In the order of the issuers' hashes. */
  readonly blocks: readonly Block[];
}

const MAGIC = Buffer.from('KSRF', 'latin1');
const VERSION = 1;
const NO_BASE = Buffer.alloc(32);
/** magic 4, version 1, kind 1, date, through, expires 8 each, base 32, blocks 2. */
const HEADER = 64;
/** issuer 32, flags 1, form 1; then 8 where the flags say that a `through` follows. */
const BLOCK_HEADER = 34;
const FLAGS = { inverted: 1, through: 2 } as const;
const FORMS = ['none', 'list', 'ribbon'] as const;
const MOST_BLOCKS = 1024;
/** A filter of 100 million certificates is of this order. */
export const MOST_FILTER_BYTES = 64 * 1024 * 1024;

/**
 * The bytes of a filter: a header, then a block for each issuer, all numbers big-endian, as docs/filter.md has it byte for
 * byte. The bits of a column stand in bytes from the lowest on.
 */
export function encodeFilter(file: FilterFile): Uint8Array {
  const header = Buffer.alloc(HEADER);
  MAGIC.copy(header);
  header[4] = VERSION;
  header[5] = file.base === undefined ? 0 : 1;
  header.writeBigUInt64BE(BigInt(file.date), 6);
  header.writeBigUInt64BE(BigInt(file.through), 14);
  header.writeBigUInt64BE(BigInt(file.expires), 22);
  if (file.base !== undefined) header.write(file.base, 30, 'hex');
  header.writeUInt16BE(file.blocks.length, 62);
  return new Uint8Array(Buffer.concat([header, ...file.blocks.flatMap(blockBytes)]));
}

function blockBytes({ issuerSpkiSha256, inverted, through, form }: Block): Uint8Array[] {
  const header = Buffer.alloc(BLOCK_HEADER + (through === undefined ? 0 : 8));
  header.write(issuerSpkiSha256, 0, 'hex');
  header[32] = (inverted ? FLAGS.inverted : 0) | (through === undefined ? 0 : FLAGS.through);
  header[33] = FORMS.indexOf(form.kind);
  if (through !== undefined) header.writeBigUInt64BE(BigInt(through), BLOCK_HEADER);
  if (form.kind === 'none') return [header];
  if (form.kind === 'list') {
    const facts = Buffer.alloc(5);
    facts[0] = form.width;
    facts.writeUInt32BE(form.hashes.length / form.width, 1);
    return [header, facts, form.hashes];
  }
  return [header, ...ribbonBytes(form.approximate), ...ribbonBytes(form.exact)];
}

/** salt 1, columns 1, size 4, then each column. */
function ribbonBytes({ salt, size, columns }: Ribbon): Uint8Array[] {
  const facts = Buffer.alloc(6);
  facts[0] = salt;
  facts[1] = columns.length;
  facts.writeUInt32BE(size, 2);
  return [facts, ...columns.map((column) => columnBytes(column, size))];
}

function columnBytes(column: Uint32Array, size: number): Uint8Array {
  const bytes = new Uint8Array(columnLength(size));
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (column[at >>> 2] ?? 0) >>> (8 * (at & 3));
  return bytes;
}

/**
 * Reads a filter. Whether it is authentic is for what carries it to say (a trust bundle is signed).
 * @throws KeysteadError `filter.malformed` with the place: too long, cut short, more behind it, issuers that are not in
 *   order or stand twice, one that is covered for longer than the file, bits behind the end of a column.
 */
export function decodeFilter(bytes: Uint8Array): FilterFile {
  if (bytes.length > MOST_FILTER_BYTES) throw malformed('filter', `${bytes.length} bytes`);
  const reader = new Reader(bytes);
  if (Buffer.compare(reader.take(4, 'magic'), MAGIC) !== 0) throw malformed('magic', 'another file');
  const version = reader.byte('version');
  if (version !== VERSION) throw malformed('version', String(version));
  const kind = reader.byte('kind');
  const [date, through, expires] = [reader.time('date'), reader.time('through'), reader.time('expires')];
  const base = reader.take(32, 'base');
  const hasBase = Buffer.compare(base, NO_BASE) !== 0;
  if (kind > 1 || hasBase !== (kind === 1)) throw malformed('kind', String(kind));
  if (through > date || date >= expires) throw malformed('through', 'times that are not in order');
  const count = reader.uint16('blocks');
  if (count > MOST_BLOCKS) throw malformed('blocks', String(count));
  const blocks: Block[] = [];
  for (let index = 0; index < count; index += 1) {
    const block = readBlock(reader, through, `blocks[${index}]`);
    const last = blocks.at(-1);
    if (last !== undefined && last.issuerSpkiSha256 >= block.issuerSpkiSha256) {
      throw malformed(`blocks[${index}].issuer`, 'not in order');
    }
    blocks.push(block);
  }
  reader.requireEnd();
  return { base: kind === 1 ? toHex(base) : undefined, date, through, expires, blocks };
}

/** The name by which a delta refers to a filter: the SHA-256 of its file, hex. */
export const filterSha256 = (bytes: Uint8Array): string => toHex(sha256(bytes));

function readBlock(reader: Reader, most: number, field: string): Block {
  const issuerSpkiSha256 = toHex(reader.take(32, `${field}.issuer`)) as SpkiSha256;
  const flags = reader.byte(`${field}.flags`);
  if (flags > (FLAGS.inverted | FLAGS.through)) throw malformed(`${field}.flags`, String(flags));
  const form = reader.byte(`${field}.form`);
  const through = (flags & FLAGS.through) === 0 ? undefined : reader.time(`${field}.through`);
  // One that is not earlier would be a second spelling of the file's own.
  if (through !== undefined && through >= most) throw malformed(`${field}.through`, String(through));
  return {
    issuerSpkiSha256,
    inverted: (flags & FLAGS.inverted) !== 0,
    ...(through === undefined ? {} : { through }),
    form: readForm(reader, FORMS[form], field),
  };
}

function readForm(reader: Reader, kind: BlockForm['kind'] | undefined, field: string): BlockForm {
  if (kind === 'none') return { kind };
  if (kind === 'list') return readList(reader, field);
  if (kind !== 'ribbon') throw malformed(`${field}.form`, 'an unknown form');
  const approximate = readRibbon(reader, `${field}.approximate`);
  const exact = readRibbon(reader, `${field}.exact`);
  if (exact.columns.length > 1) throw malformed(`${field}.exact`, `${exact.columns.length} columns`);
  return { kind, approximate, exact };
}

function readList(reader: Reader, field: string): BlockForm {
  const width = reader.byte(`${field}.width`);
  if (width < 1 || width > 32) throw malformed(`${field}.width`, String(width));
  const count = reader.uint32(`${field}.count`);
  if (count === 0) throw malformed(`${field}.count`, '0');
  const hashes = reader.take(width * count, `${field}.hashes`);
  for (let at = width; at < hashes.length; at += width) {
    if (Buffer.compare(hashes.subarray(at - width, at), hashes.subarray(at, at + width)) >= 0) {
      throw malformed(`${field}.hashes`, 'not in order');
    }
  }
  return { kind: 'list', width, hashes };
}

function readRibbon(reader: Reader, field: string): Ribbon {
  const salt = reader.byte(`${field}.salt`);
  const count = reader.byte(`${field}.columns`);
  const size = reader.uint32(`${field}.size`);
  const empty = size === 0 && count === 0;
  if (!empty && (size < BAND || count === 0 || count > 32)) throw malformed(`${field}.size`, `${size} x ${count}`);
  const columns = Array.from({ length: count }, () => readColumn(reader, size, field));
  return { salt, size, columns };
}

/** Bytes of a column. In words of 32 bits, as shifts are, the greatest sizes would come out as none. */
const columnLength = (size: number): number => Math.ceil(size / 8);

function readColumn(reader: Reader, size: number, field: string): Uint32Array {
  const bytes = reader.take(columnLength(size), field);
  if (size % 8 !== 0 && (bytes.at(-1) ?? 0) >>> (size % 8) !== 0) throw malformed(field, 'bits behind the end');
  const column = new Uint32Array(columnWords(size));
  for (const [at, byte] of bytes.entries()) column[at >>> 2] = (column[at >>> 2] ?? 0) | (byte << (8 * (at & 3)));
  return column;
}

/** Takes what is there, and never more. */
class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  take(length: number, field: string): Uint8Array {
    return this.#bytes.slice(this.#move(length, field), this.#at);
  }
  byte(field: string): number {
    return this.#view.getUint8(this.#move(1, field));
  }
  uint16(field: string): number {
    return this.#view.getUint16(this.#move(2, field));
  }
  uint32(field: string): number {
    return this.#view.getUint32(this.#move(4, field));
  }
  /** Whole seconds, until far beyond 9999. */
  time(field: string): number {
    const seconds = this.#view.getBigUint64(this.#move(8, field));
    if (seconds > 253_402_300_799n) throw malformed(field, String(seconds));
    return Number(seconds);
  }
  requireEnd(): void {
    if (this.#at !== this.#bytes.length) throw malformed('filter', `${this.#bytes.length - this.#at} bytes behind it`);
  }

  /** Returns where it was. */
  #move(length: number, field: string): number {
    const from = this.#at;
    if (length > this.#bytes.length - from) throw malformed(field, 'the end of the file');
    this.#at = from + length;
    return from;
  }
}

const malformed = (field: string, seen: string): KeysteadError =>
  new KeysteadError('filter.malformed', { field, seen });
