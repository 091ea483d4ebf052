import { malformed } from '../malformed.ts';
import { TLV_HEAD_BYTES, TLV_INFO_BYTES } from './layout.ts';

export interface Tlv {
  readonly type: number;
  readonly value: Buffer;
}

/** For messages and for people. */
export const tlvName = (type: number): string => `TLV 0x${type.toString(16).padStart(2, '0')}`;

/** One area: struct image_tlv_info with its magic and the length of all, then each TLV. */
export function tlvArea(magic: number, tlvs: readonly { type: number; value: Uint8Array }[]): Uint8Array {
  const length = tlvs.reduce((sum, { value }) => sum + TLV_HEAD_BYTES + value.length, TLV_INFO_BYTES);
  const info = Buffer.alloc(TLV_INFO_BYTES);
  info.writeUInt16LE(magic, 0);
  info.writeUInt16LE(length, 2);
  const parts = tlvs.flatMap(({ type, value }) => {
    const head = Buffer.alloc(TLV_HEAD_BYTES);
    head.writeUInt8(type, 0);
    head.writeUInt16LE(value.length, 2);
    return [head, value];
  });
  return Buffer.concat([info, ...parts], length);
}

/**
 * The TLVs of one area that is exactly `bytes`.
 * @param what names the area in errors. @throws KeysteadError `firmware.malformed`.
 */
export function readTlvArea(bytes: Buffer, magic: number, what: string): readonly Tlv[] {
  if (bytes.length < TLV_INFO_BYTES) throw malformed(what, `${bytes.length} octets, cut off`);
  const seen = bytes.readUInt16LE(0);
  if (seen !== magic) throw malformed(what, `magic 0x${seen.toString(16)}, not 0x${magic.toString(16)}`);
  const length = bytes.readUInt16LE(2);
  if (length !== bytes.length) throw malformed(what, `${length} octets by its head, ${bytes.length} there`);
  const tlvs: Tlv[] = [];
  let at = TLV_INFO_BYTES;
  while (at < length) {
    if (at + TLV_HEAD_BYTES > length) throw malformed(what, `cut off at octet ${at}`);
    const type = bytes.readUInt8(at);
    // _pad is zero; current bootloaders take both octets as the type, of which vendors use the upper half.
    if (bytes.readUInt8(at + 1) !== 0 && type < 0xa0) throw malformed(what, `${tlvName(type)} with a filled pad`);
    const end = at + TLV_HEAD_BYTES + bytes.readUInt16LE(at + 2);
    if (end > length) throw malformed(what, `${tlvName(type)} at octet ${at} goes beyond its area`);
    tlvs.push({ type: bytes.readUInt16LE(at), value: bytes.subarray(at + TLV_HEAD_BYTES, end) });
    at = end;
  }
  return tlvs;
}
