import { malformed } from '../malformed.ts';
import {
  FLAGS,
  HEADER_BYTES,
  IMAGE_MAGIC,
  isOfEncryption,
  isOfSignature,
  PROTECTED_INFO_MAGIC,
  TLV,
} from './layout.ts';
import { readTlvArea, type Tlv, tlvName } from './tlv.ts';
import { type ImageVersion, readVersion, VERSION_BYTES } from './version.ts';

/** struct image_dependency: image 0, 1, … of the device must be at least of this version. */
export interface Dependency {
  readonly image: number;
  readonly atLeast: ImageVersion;
}

/** struct image_header, as far as it is not the magic. */
export interface ImageHeader {
  readonly loadAddress: number;
  readonly headerBytes: number;
  readonly protectedBytes: number;
  readonly imageBytes: number;
  readonly flags: number;
  readonly version: ImageVersion;
  /** Octets of header, image and protected TLVs: what is hashed and signed. */
  readonly signedBytes: number;
}

/** All that the signed part of an image says. */
export interface SignedPart extends ImageHeader {
  readonly securityCounter: number | null;
  readonly dependencies: readonly Dependency[];
  /** Of the boot record, CBOR, as measured boot hands it on; null where there is none. */
  readonly bootRecord: Uint8Array | null;
  /** Of types that only their maker knows. */
  readonly others: readonly Tlv[];
}

const KNOWN_FLAGS = Object.values(FLAGS).reduce((all, flag) => all | flag, 0);
/** Dependencies, and TLVs of other types: all of them are shown to people, who would not look through thousands. */
const MOST_SHOWN = 32;
const DEPENDENCY_BYTES = 4 + VERSION_BYTES;

/** @param bytes at least the first 32 octets, where the image has them. @throws KeysteadError `firmware.malformed`. */
export function readHeader(bytes: Buffer): ImageHeader {
  if (bytes.length < HEADER_BYTES) throw malformed('header', `${bytes.length} octets, cut off`);
  const magic = bytes.readUInt32LE(0);
  if (magic !== IMAGE_MAGIC) {
    throw malformed('header magic', `0x${magic.toString(16)}, not 0x${IMAGE_MAGIC.toString(16)}: no image of MCUboot`);
  }
  const [headerBytes, protectedBytes] = [bytes.readUInt16LE(8), bytes.readUInt16LE(10)];
  const [imageBytes, flags] = [bytes.readUInt32LE(12), bytes.readUInt32LE(16)];
  if (headerBytes < HEADER_BYTES) throw malformed('header size', `${headerBytes}, below ${HEADER_BYTES}`);
  if (imageBytes === 0) throw malformed('image size', '0');
  // It would be hashed and signed in the clear before it is encrypted: that is done by the tool that has both keys.
  if ((flags & ~KNOWN_FLAGS) !== 0) throw malformed('header flags', `0x${flags.toString(16)}, encrypted or unknown`);
  if ((flags & FLAGS['ram-load']) !== 0 && (flags & FLAGS['rom-fixed']) !== 0) {
    throw malformed('header flags', 'an address to load to and one to stay at');
  }
  return {
    loadAddress: bytes.readUInt32LE(4),
    headerBytes,
    protectedBytes,
    imageBytes,
    flags,
    version: readVersion(bytes, 20),
    signedBytes: headerBytes + imageBytes + protectedBytes,
  };
}

/**
 * Takes the signed part apart: exactly header, image and protected TLVs, nothing after them.
 * @throws KeysteadError `firmware.malformed`.
 */
export function readSignedPart(signed: Uint8Array): SignedPart {
  const bytes = Buffer.from(signed.buffer, signed.byteOffset, signed.length);
  const header = readHeader(bytes);
  if (bytes.length !== header.signedBytes) {
    throw malformed('image', `${bytes.length} octets to sign, ${header.signedBytes} by its header`);
  }
  const area = bytes.subarray(header.headerBytes + header.imageBytes);
  const tlvs = area.length === 0 ? [] : readTlvArea(area, PROTECTED_INFO_MAGIC, 'protected TLVs');
  return { ...header, ...readProtected(tlvs) };
}

function readProtected(tlvs: readonly Tlv[]) {
  let [securityCounter, bootRecord]: [number | null, Uint8Array | null] = [null, null];
  const [dependencies, others]: [Dependency[], Tlv[]] = [[], []];
  for (const tlv of tlvs) {
    const { type, value } = tlv;
    if (type === TLV.securityCounter) {
      // A bootloader takes the first, a person may see the last.
      if (securityCounter !== null) throw malformed('security counter', 'twice');
      securityCounter = exactly(value, 4, 'security counter').readUInt32LE(0);
    } else if (type === TLV.dependency) {
      const image = exactly(value, DEPENDENCY_BYTES, 'dependency').readUInt8(0);
      if (value.readUIntLE(1, 3) !== 0) throw malformed('dependency', 'a filled pad');
      dependencies.push({ image, atLeast: readVersion(value, 4) });
    } else if (type === TLV.bootRecord) {
      if (bootRecord !== null) throw malformed('boot record', 'twice');
      bootRecord = value;
    } else if (isOfSignature(type) || isOfEncryption(type) || (type >= TLV.sha256 && type <= TLV.sha512)) {
      throw malformed('protected TLVs', `${tlvName(type)}, which is never protected`);
    } else others.push(tlv);
  }
  for (const [{ length }, what] of [
    [others, 'of other types'],
    [dependencies, 'dependencies'],
  ] as const) {
    if (length > MOST_SHOWN) throw malformed('protected TLVs', `${length} ${what}, above ${MOST_SHOWN}`);
  }
  return { securityCounter, dependencies, bootRecord, others };
}

function exactly(value: Buffer, octets: number, what: string): Buffer {
  if (value.length !== octets) throw malformed(what, `${value.length} octets, not ${octets}`);
  return value;
}
