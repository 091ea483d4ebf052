import { type ImageBytes, piecesOf } from '../image.ts';
import { malformed } from '../malformed.ts';

/** The superblock of a squashfs of version 4.0 (Linux, Documentation/filesystems/squashfs.rst), little-endian. */
const SUPERBLOCK_BYTES = 96;
const MAGIC = 0x7371_7368;
/** mksquashfs fills a file up to a multiple of it. */
const PAGE = 4096;

const COMPRESSIONS: Readonly<Record<number, string>> = {
  1: 'gzip',
  2: 'lzma',
  3: 'lzo',
  4: 'xz',
  5: 'lz4',
  6: 'zstd',
};

export interface Squashfs {
  /** Octets of the file system with its padding: where whatever follows it begins. */
  readonly end: number;
  readonly compression: string;
  readonly inodes: number;
  readonly madeAt: Date;
}

/**
 * Reads the superblock, and finds the end of the file system in an image that may have more after it.
 * @throws KeysteadError `firmware.malformed` for anything but a whole squashfs 4.0 at the start.
 */
export async function readSquashfs(image: ImageBytes): Promise<Squashfs> {
  const bytes = await image.read(0, SUPERBLOCK_BYTES);
  if (bytes.length < SUPERBLOCK_BYTES) throw malformed('image', `${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== MAGIC) throw malformed('image', 'no squashfs at its start');
  const version = `${view.getUint16(28, true)}.${view.getUint16(30, true)}`;
  if (version !== '4.0') throw malformed('the superblock', `squashfs ${version}`);
  const used = view.getBigUint64(40, true);
  if (used < SUPERBLOCK_BYTES || used > image.size)
    throw malformed('the superblock', `${used} bytes used, of ${image.size}`);
  const compression = view.getUint16(20, true);
  return {
    end: await paddedEnd(image, Number(used)),
    compression: COMPRESSIONS[compression] ?? String(compression),
    inodes: view.getUint32(4, true),
    madeAt: new Date(view.getUint32(8, true) * 1000),
  };
}

/** The end with the zeros up to the next page, or without them where `mksquashfs -nopad` left them out. */
async function paddedEnd(image: ImageBytes, used: number): Promise<number> {
  const padded = Math.ceil(used / PAGE) * PAGE;
  if (image.size < padded) return used;
  for await (const piece of piecesOf(image, used, padded)) if (piece.some((octet) => octet !== 0)) return used;
  return padded;
}
