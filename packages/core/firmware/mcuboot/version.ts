import { KeysteadError } from '../../errors/index.ts';

/** struct image_version: iv_major and iv_minor 8 bits, iv_revision 16, iv_build_num 32. */
export interface ImageVersion {
  readonly major: number;
  readonly minor: number;
  readonly revision: number;
  readonly build: number;
}

export const VERSION_BYTES = 8;
/** As imgtool takes it: parts that are left out are 0. */
const FORM = /^(\d{1,10})(?:\.(\d{1,10})(?:\.(\d{1,10})(?:\+(\d{1,10}))?)?)?$/;
const MOST = { major: 0xff, minor: 0xff, revision: 0xffff, build: 0xffffffff } as const;

/** @param field names the parameter in the error. @throws KeysteadError `firmware.parameter`. */
export function parseVersion(text: string, field: string): ImageVersion {
  const [whole, major, minor, revision, build] = FORM.exec(text) ?? [];
  if (whole === undefined) {
    throw new KeysteadError('firmware.parameter', { field, seen: `${text.slice(0, 40)}, not like 1.2.3+4` });
  }
  const version = {
    major: Number(major),
    minor: Number(minor ?? 0),
    revision: Number(revision ?? 0),
    build: Number(build ?? 0),
  };
  for (const part of ['major', 'minor', 'revision', 'build'] as const) {
    if (version[part] > MOST[part]) {
      throw new KeysteadError('firmware.parameter', { field, seen: `${part} ${version[part]}, above ${MOST[part]}` });
    }
  }
  return version;
}

/** `1.2.3`, or `1.2.3+4` where there is a build number: the one spelling, which an order must use. */
export const formatVersion = ({ major, minor, revision, build }: ImageVersion): string =>
  `${major}.${minor}.${revision}${build === 0 ? '' : `+${build}`}`;

export function versionOctets({ major, minor, revision, build }: ImageVersion): Uint8Array {
  const octets = Buffer.alloc(VERSION_BYTES);
  octets.writeUInt8(major, 0);
  octets.writeUInt8(minor, 1);
  octets.writeUInt16LE(revision, 2);
  octets.writeUInt32LE(build, 4);
  return octets;
}

/** @param at where the eight octets begin, which must be there. */
export const readVersion = (bytes: Buffer, at: number): ImageVersion => ({
  major: bytes.readUInt8(at),
  minor: bytes.readUInt8(at + 1),
  revision: bytes.readUInt16LE(at + 2),
  build: bytes.readUInt32LE(at + 4),
});
