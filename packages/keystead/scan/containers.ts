import { createInflateRaw, createZstdDecompress } from 'node:zlib';
import type { Source } from './source.ts';

/** More than this is not unpacked into memory. */
export const MOST_UNPACKED = 256 * 1024 * 1024;
const CHUNK = 256 * 1024;

/** Something packed that begins at `offset`. */
export interface Container {
  readonly kind: string;
  readonly offset: number;
  /** Where the packed data itself begins; undefined for what cannot be unpacked here. */
  readonly data: number | undefined;
}

const UNPACKERS: Readonly<Record<string, () => NodeJS.ReadWriteStream>> = {
  // Not createGunzip, which takes what stands behind the end for a defect of the whole.
  gzip: () => createInflateRaw(),
  zstd: () => createZstdDecompress(),
  zip: () => createInflateRaw(),
};

const MAGICS: readonly (readonly [kind: string, magic: Buffer])[] = [
  ['gzip', Buffer.from('1f8b08', 'hex')],
  ['zstd', Buffer.from('28b52ffd', 'hex')],
  ['zip', Buffer.from('504b0304', 'hex')],
  ['xz', Buffer.from('fd377a585a00', 'hex')],
  ['bzip2', Buffer.from('314159265359', 'hex')],
  ['lz4', Buffer.from('04224d18', 'hex')],
  ['squashfs', Buffer.from('hsqs', 'latin1')],
];

/** Everything in a piece of a file that looks packed. */
export function containersIn(bytes: Buffer): Container[] {
  return MAGICS.flatMap(([kind, magic]) => {
    const found: Container[] = [];
    for (let at = bytes.indexOf(magic); at >= 0; at = bytes.indexOf(magic, at + magic.length)) {
      const container = containerAt(bytes, kind, at);
      if (container !== undefined) found.push(container);
    }
    return found;
  });
}

/** Chance has made every magic somewhere: what the format says beside it must hold too. */
function containerAt(bytes: Buffer, kind: string, at: number): Container | undefined {
  const unreadable = { kind, offset: at, data: undefined };
  switch (kind) {
    case 'gzip':
      return gzipMember(bytes, at);
    case 'zstd':
      return { kind, offset: at, data: at };
    case 'zip':
      return zipEntry(bytes, at);
    case 'xz':
      return (bytes[at + 6] ?? 0xff) < 0x10 ? unreadable : undefined;
    case 'bzip2':
      return /^BZh[1-9]$/.test(bytes.toString('latin1', Math.max(0, at - 4), at))
        ? { ...unreadable, offset: at - 4 }
        : undefined;
    case 'lz4':
      return (bytes[at + 4] ?? 0) >>> 6 === 1 ? unreadable : undefined;
    // Version 4.0 is the one that is in use.
    default:
      return at + 32 <= bytes.length && bytes.readUInt32LE(at + 28) === 4 ? unreadable : undefined;
  }
}

/** A member of gzip (RFC 1952 section 2.3): of its flags five are defined, and four of them tell of fields before the data. */
function gzipMember(bytes: Buffer, at: number): Container | undefined {
  const flags = bytes[at + 3] ?? 0xff;
  if (flags >= 0x20) return undefined;
  let data = at + 10;
  if ((flags & 4) !== 0) data += 2 + (bytes[data] ?? 0) + ((bytes[data + 1] ?? 0) << 8);
  for (const text of [8, 16]) if ((flags & text) !== 0) data = bytes.indexOf(0, data) + 1;
  if ((flags & 2) !== 0) data += 2;
  return data > at && data < bytes.length ? { kind: 'gzip', offset: at, data } : undefined;
}

/** A local file header of ZIP (APPNOTE 4.3.7), deflated: what is stored stands there as it is. */
function zipEntry(bytes: Buffer, at: number): Container | undefined {
  if (at + 30 > bytes.length || bytes.readUInt16LE(at + 8) !== 8) return undefined;
  const data = at + 30 + bytes.readUInt16LE(at + 26) + bytes.readUInt16LE(at + 28);
  return { kind: 'zip', offset: at, data };
}

/**
 * Unpacks what begins in `source` at `from`, as far as it goes. Undefined when nothing comes out: it only looked packed.
 * `whole` is false for what breaks off or is larger than {@link MOST_UNPACKED}.
 */
export function unpack(
  source: Source,
  kind: string,
  from: number,
): Promise<{ readonly bytes: Buffer; readonly whole: boolean } | undefined> {
  const unpacker = UNPACKERS[kind]?.();
  if (unpacker === undefined) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    let at = from;
    const end = (whole: boolean): void => {
      unpacker.removeAllListeners();
      unpacker.on('error', () => undefined);
      if ('destroy' in unpacker && typeof unpacker.destroy === 'function') unpacker.destroy();
      resolve(length === 0 ? undefined : { bytes: Buffer.concat(chunks), whole });
    };
    const feed = (): void => {
      while (at < source.size) {
        // A copy: what was read is written behind our back.
        const chunk = Buffer.from(source.read(at, CHUNK));
        at += chunk.length;
        if (!unpacker.write(chunk)) return;
      }
      unpacker.end();
    };
    unpacker.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      length += chunk.length;
      if (length > MOST_UNPACKED) end(false);
    });
    unpacker.on('drain', feed);
    unpacker.on('end', () => end(true));
    unpacker.on('error', () => end(false));
    feed();
  });
}
