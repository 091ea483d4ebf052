import { malformed } from '../malformed.ts';

// Devicetree Specification v0.4 chapter 5, Flattened Devicetree (DTB) Format. All numbers are big-endian.
const MAGIC = 0xd00dfeed;
const VERSION = 17;
const OLDEST_READER = 16;
export const HEADER_BYTES = 40;

/** Where the blocks of a flattened tree stand, octets from its beginning. */
export interface Blob {
  readonly totalBytes: number;
  readonly reservedAt: number;
  readonly structureAt: number;
  readonly structureBytes: number;
  readonly stringsAt: number;
  readonly stringsBytes: number;
  /** boot_cpuid_phys, of no meaning here; kept. */
  readonly bootCpu: number;
}

/** Names of properties: a tree of images has some twenty. */
export const MOST_STRINGS_BYTES = 64 * 1024;

/**
 * @param bytes the first 40 octets, as far as they are there. @param size octets of the whole file.
 * @throws KeysteadError `firmware.malformed`.
 */
export function readBlob(bytes: Uint8Array, size: number): Blob {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (header.length < HEADER_BYTES) throw malformed('header', `${header.length} octets, cut off`);
  const magic = header.readUInt32BE(0);
  if (magic !== MAGIC) throw malformed('header magic', `0x${magic.toString(16)}: no flattened tree`);
  const [version, lastCompatible] = [header.readUInt32BE(20), header.readUInt32BE(24)];
  if (version !== VERSION || lastCompatible !== OLDEST_READER) {
    throw malformed('header version', `${version}, readable by ${lastCompatible}`);
  }
  const blob: Blob = {
    totalBytes: header.readUInt32BE(4),
    structureAt: header.readUInt32BE(8),
    stringsAt: header.readUInt32BE(12),
    reservedAt: header.readUInt32BE(16),
    bootCpu: header.readUInt32BE(28),
    stringsBytes: header.readUInt32BE(32),
    structureBytes: header.readUInt32BE(36),
  };
  const { totalBytes, reservedAt, structureAt, structureBytes, stringsAt, stringsBytes } = blob;
  if (totalBytes > size) throw malformed('total size', `${totalBytes} octets of which ${size} are there`);
  if (stringsBytes > MOST_STRINGS_BYTES) throw malformed('strings', `${stringsBytes} octets`);
  // In the order in which dtc and libfdt write them, and none in another.
  const inOrder =
    reservedAt >= HEADER_BYTES &&
    structureAt >= reservedAt + 16 &&
    stringsAt >= structureAt + structureBytes &&
    totalBytes >= stringsAt + stringsBytes;
  if (!inOrder || reservedAt % 8 !== 0 || structureAt % 4 !== 0 || structureBytes % 4 !== 0) {
    throw malformed('header', 'blocks that overlap, or stand out of order or alignment');
  }
  // Reservations have no meaning for images: dtc writes the end of the list alone.
  if (structureAt !== reservedAt + 16) throw malformed('reserved memory', 'something reserved');
  return blob;
}

/** The header of a blob and, after it, its empty list of reservations. */
export function blobHead(blob: Blob): Uint8Array {
  const head = Buffer.alloc(HEADER_BYTES + 16);
  const { totalBytes, structureAt, stringsAt, reservedAt, bootCpu, stringsBytes, structureBytes } = blob;
  const words = [MAGIC, totalBytes, structureAt, stringsAt, reservedAt, VERSION, OLDEST_READER, bootCpu];
  [...words, stringsBytes, structureBytes].forEach((word, index) => {
    head.writeUInt32BE(word, 4 * index);
  });
  return head;
}
