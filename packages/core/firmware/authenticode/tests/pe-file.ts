/** What a test wants of a PE file; see {@link peFile}. */
export interface PeWanted {
  readonly bits?: 32 | 64;
  readonly machine?: number;
  /** Octets of each section. */
  readonly sections?: readonly number[];
  /** Octets after the last section. */
  readonly tail?: number;
  readonly lfanew?: number;
}

const ALIGN = 512;

/** A PE file of the least that there is to one, put together by the specification alone. */
export function peFile(wanted: PeWanted = {}): Buffer {
  const { bits = 64, sections = [512, 1024], tail = 0, lfanew = 0x80 } = wanted;
  const machine = wanted.machine ?? (bits === 32 ? 0x14c : 0xaa64);
  const optional = lfanew + 24;
  const directories = optional + (bits === 32 ? 96 : 112);
  const table = directories + 16 * 8;
  const headers = Math.ceil((table + sections.length * 40) / ALIGN) * ALIGN;
  const file = Buffer.alloc(headers + sections.reduce((a, b) => a + b, 0) + tail, 0);
  file.write('MZ', 0, 'latin1');
  file.writeUInt32LE(lfanew, 0x3c);
  file.write('PE\0\0', lfanew, 'latin1');
  file.writeUInt16LE(machine, lfanew + 4);
  file.writeUInt16LE(sections.length, lfanew + 6);
  file.writeUInt16LE(table - optional, lfanew + 20);
  file.writeUInt16LE(0x0206, lfanew + 22);
  file.writeUInt16LE(bits === 32 ? 0x10b : 0x20b, optional);
  file.writeUInt32LE(4096, optional + 32);
  file.writeUInt32LE(ALIGN, optional + 36);
  file.writeUInt32LE(4096 * (sections.length + 1), optional + 56);
  file.writeUInt32LE(headers, optional + 60);
  file.writeUInt16LE(10, optional + 68);
  file.writeUInt32LE(16, directories - 4);
  let at = headers;
  sections.forEach((bytes, index) => {
    const entry = table + index * 40;
    file.write(`.s${index}`, entry, 'latin1');
    file.writeUInt32LE(bytes, entry + 8);
    file.writeUInt32LE(4096 * (index + 1), entry + 12);
    file.writeUInt32LE(bytes, entry + 16);
    file.writeUInt32LE(at, entry + 20);
    file.fill(0x40 + index, at, at + bytes);
    at += bytes;
  });
  file.fill(0xaa, at);
  return file;
}

/** Where the fields of such a file stand. */
export const fieldsOf = ({ bits = 64, lfanew = 0x80 }: PeWanted = {}) => {
  const optional = lfanew + 24;
  const directories = optional + (bits === 32 ? 96 : 112);
  return {
    magic: optional,
    sectionCount: lfanew + 6,
    optionalBytes: lfanew + 20,
    headersEnd: optional + 60,
    checksum: optional + 64,
    count: directories - 4,
    certificates: directories + 32,
    table: directories + 128,
  };
};
