import { KeysteadError } from '../../errors/index.ts';
import type { ImageBytes } from '../image.ts';
import { malformed } from '../malformed.ts';

/**
 * PE/COFF (Microsoft PE format specification) as far as a signature depends on it. Readers differ in what they make of
 * gaps and overlaps between sections: firmware hashes section by section, other tools the file from end to end. A file
 * where that could differ is refused, so that what is hashed here is the file but for three fields, to every reader.
 */

/** Headers that are longer are no program's: the longest section table has 96 entries of 40 octets. */
const MOST_HEADER_BYTES = 64 * 1024;
/** Offsets and the length of a signature have 32 bits; the signature needs some room too. */
const MOST_IMAGE_BYTES = 0xffff_ffff - 16 * 1024 * 1024;
const MOST_SECTIONS = 96;
const COFF_BYTES = 24;
const SECTION_BYTES = 40;
/** The certificate table is the fifth data directory. */
const CERTIFICATE_DIRECTORY = 4;

const MACHINES: Readonly<Record<number, string>> = {
  332: 'i386',
  34404: 'x86-64',
  450: 'ARM (Thumb)',
  43620: 'AArch64',
  20530: 'RISC-V 32',
  20580: 'RISC-V 64',
  25188: 'LoongArch 64',
};

/** What UEFI starts (UEFI specification, section 2.1.1); others are shown by their number. */
const SUBSYSTEMS: Readonly<Record<number, string>> = {
  10: 'EFI application',
  11: 'EFI boot service driver',
  12: 'EFI runtime driver',
  13: 'EFI ROM',
};

export interface PeImage {
  /** Octets of the file. */
  readonly size: number;
  readonly machine: string;
  readonly subsystem: string;
  readonly sections: readonly { readonly name: string; readonly bytes: number }[];
  /** Where the checksum stands; 4 octets. */
  readonly checksumAt: number;
  /** Where the entry of the certificate table in the data directories stands; 8 octets. */
  readonly certificatesAt: number;
}

/**
 * Reads the headers of an image without a signature.
 * @throws KeysteadError `firmware.malformed`, `firmware.signed-already`.
 */
export async function readPe(image: ImageBytes): Promise<PeImage> {
  if (image.size > MOST_IMAGE_BYTES) throw malformed('image', `${image.size} bytes`);
  const bytes = await image.read(0, Math.min(image.size, MOST_HEADER_BYTES));
  const header = new Header(bytes);
  if (header.u16(0, 'the DOS header') !== 0x5a4d) throw malformed('image', 'no MZ at its start');
  const pe = header.u32(0x3c, 'e_lfanew');
  // The checksum is of words of 16 bits; and headers that lie in each other are no compiler's.
  if (pe < 0x40 || pe % 2 !== 0) throw malformed('e_lfanew', String(pe));
  if (header.u32(pe, 'the PE signature') !== 0x4550) throw malformed('image', 'no PE signature where e_lfanew points');
  const optional = pe + COFF_BYTES;
  const optionalBytes = header.u16(pe + 20, 'SizeOfOptionalHeader');
  const directories = optional + directoriesOffset(header.u16(optional, 'the magic of the optional header'));
  const count = header.u32(directories - 4, 'NumberOfRvaAndSizes');
  if (count > 16) throw malformed('NumberOfRvaAndSizes', String(count));
  if (count <= CERTIFICATE_DIRECTORY) throw malformed('NumberOfRvaAndSizes', `${count}: no place for a signature`);
  if (directories + count * 8 > optional + optionalBytes)
    throw malformed('SizeOfOptionalHeader', `${optionalBytes}, shorter than its directories`);
  const certificatesAt = directories + CERTIFICATE_DIRECTORY * 8;
  requireUnsigned(header, certificatesAt);
  const end = header.u32(optional + 60, 'SizeOfHeaders');
  const table = optional + optionalBytes;
  const sections = readSections(header, table, header.u16(pe + 6, 'NumberOfSections'));
  if (table + sections.length * SECTION_BYTES > end) throw malformed('SizeOfHeaders', `${end}, within the headers`);
  requireWithoutGaps(sections, end, image.size);
  const machine = header.u16(pe + 4, 'Machine');
  const subsystem = header.u16(optional + 68, 'Subsystem');
  return {
    size: image.size,
    machine: MACHINES[machine] ?? `0x${machine.toString(16)}`,
    subsystem: SUBSYSTEMS[subsystem] ?? String(subsystem),
    sections: sections.map(({ name, bytes: size }) => ({ name, bytes: size })),
    checksumAt: optional + 64,
    certificatesAt,
  };
}

/** Where the data directories stand in the optional header of PE32 and PE32+. */
function directoriesOffset(magic: number): number {
  if (magic === 0x10b) return 96;
  if (magic === 0x20b) return 112;
  throw malformed('the magic of the optional header', `0x${magic.toString(16)}`);
}

function requireUnsigned(header: Header, certificatesAt: number): void {
  const at = header.u32(certificatesAt, 'the certificate table');
  const size = header.u32(certificatesAt + 4, 'the certificate table');
  if (at === 0 && size === 0) return;
  throw new KeysteadError('firmware.signed-already', {
    field: 'the certificate table',
    seen: `${size} bytes at ${at}`,
  });
}

interface Section {
  readonly name: string;
  /** Octets in the file, and where. */
  readonly bytes: number;
  readonly at: number;
}

function readSections(header: Header, table: number, count: number): readonly Section[] {
  if (count > MOST_SECTIONS) throw malformed('NumberOfSections', String(count));
  return Array.from({ length: count }, (_, index) => {
    const at = table + index * SECTION_BYTES;
    return {
      name: header.name(at, `section ${index}`),
      bytes: header.u32(at + 16, `section ${index}`),
      at: header.u32(at + 20, `section ${index}`),
    };
  });
}

/** Each section begins where the one before it ends, and the first where the headers end. What follows is hashed too. */
function requireWithoutGaps(sections: readonly Section[], headersEnd: number, size: number): void {
  let end = headersEnd;
  for (const { name, bytes, at } of sections.filter((one) => one.bytes > 0).sort((a, b) => a.at - b.at)) {
    if (at !== end) throw malformed(`section ${name}`, `it begins at ${at}, where ${end} is the end before it`);
    end = at + bytes;
  }
  if (end > size) throw malformed('image', `${size} bytes, where its sections end at ${end}`);
}

/** The first octets of the file: whatever lies outside of them is refused. */
class Header {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  u16(at: number, what: string): number {
    this.#require(at, 2, what);
    return this.#view.getUint16(at, true);
  }

  u32(at: number, what: string): number {
    this.#require(at, 4, what);
    return this.#view.getUint32(at, true);
  }

  /** A section's name of up to 8 octets; what cannot be printed is shown as dots. */
  name(at: number, what: string): string {
    this.#require(at, SECTION_BYTES, what);
    const text = Buffer.from(this.#bytes.subarray(at, at + 8)).toString('latin1');
    return text.replace(/\0+$/, '').replace(/[^\x20-\x7e]/g, '.');
  }

  #require(at: number, length: number, what: string): void {
    if (at + length > this.#bytes.length) throw malformed(what, `outside of the header, at ${at}`);
  }
}
