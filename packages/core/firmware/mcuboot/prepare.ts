import { encode } from 'cborg';
import { sha256 } from '../../crypto/index.ts';
import { MOST_SUBJECT_BYTES } from '../format.ts';
import { type ImageBytes, imageOf } from '../image.ts';
import { malformed } from '../malformed.ts';
import { FLAGS, HEADER_BYTES, IMAGE_MAGIC, PROTECTED_INFO_MAGIC, TLV, TLV_INFO_MAGIC } from './layout.ts';
import { type MCUbootParameters, readParameters } from './parameters.ts';
import { tlvArea } from './tlv.ts';
import { formatVersion, versionOctets } from './version.ts';

/**
 * An image of a raw binary, to be signed: what `imgtool sign` makes of it without a key, octet for octet. It ends in its
 * own SHA-256, so that no cut leaves it whole.
 * @throws KeysteadError `firmware.parameter` with the parameter, `firmware.malformed`.
 */
export async function prepareMCUboot(raw: ImageBytes, given: Readonly<Record<string, string>>): Promise<ImageBytes> {
  const parameters = readParameters(given);
  const protectedTlvs = protectedArea(parameters);
  const { headerBytes } = parameters;
  const most = MOST_SUBJECT_BYTES - headerBytes - protectedTlvs.length;
  if (raw.size === 0 || raw.size > most) {
    throw malformed('image', `${raw.size} octets, not 1 to ${most}`);
  }
  const code = await raw.read(0, raw.size);
  if (code.length !== raw.size) throw malformed('image', `${code.length} octets of ${raw.size}`);
  const head = new Uint8Array(headerBytes).fill(parameters.erased);
  head.set(header(parameters, code.length, protectedTlvs.length));
  const signed = Buffer.concat([head, code, protectedTlvs]);
  const hash = tlvArea(TLV_INFO_MAGIC, [{ type: TLV.sha256, value: sha256(signed) }]);
  return imageOf(new Uint8Array(Buffer.concat([signed, hash])));
}

function header(parameters: MCUbootParameters, imageBytes: number, protectedBytes: number): Uint8Array {
  const { loadAddress, romFixed, headerBytes, version } = parameters;
  const octets = Buffer.alloc(HEADER_BYTES);
  octets.writeUInt32LE(IMAGE_MAGIC, 0);
  octets.writeUInt32LE(romFixed || loadAddress, 4);
  octets.writeUInt16LE(headerBytes, 8);
  octets.writeUInt16LE(protectedBytes, 10);
  octets.writeUInt32LE(imageBytes, 12);
  octets.writeUInt32LE((loadAddress === 0 ? 0 : FLAGS['ram-load']) | (romFixed === 0 ? 0 : FLAGS['rom-fixed']), 16);
  octets.set(versionOctets(version), 20);
  return octets;
}

/** In imgtool's order: counter, boot record, dependencies. Nothing where there are none. */
function protectedArea(parameters: MCUbootParameters): Uint8Array {
  const { securityCounter, bootRecord, dependencies } = parameters;
  const tlvs: { type: number; value: Uint8Array }[] = [];
  if (securityCounter !== null) {
    const value = Buffer.alloc(4);
    value.writeUInt32LE(securityCounter, 0);
    tlvs.push({ type: TLV.securityCounter, value });
  }
  if (bootRecord !== null) tlvs.push({ type: TLV.bootRecord, value: bootRecordOctets(bootRecord, parameters) });
  for (const { image, atLeast } of dependencies) {
    tlvs.push({ type: TLV.dependency, value: Buffer.concat([Uint8Array.of(image, 0, 0, 0), versionOctets(atLeast)]) });
  }
  return tlvs.length === 0 ? new Uint8Array() : tlvArea(PROTECTED_INFO_MAGIC, tlvs);
}

/**
 * A software component of PSA attestation (imgtool/boot_record.py): type 1, version 4, signer 5, what is measured 6, and
 * last the measurement 2, zeros that the bootloader writes over in place.
 */
function bootRecordOctets({ type, signer }: { type: string; signer: Uint8Array }, { version }: MCUbootParameters) {
  const record = new Map<number, string | Uint8Array>([
    [1, type],
    [4, formatVersion({ ...version, build: 0 })],
    [5, signer],
    [6, signer.length === 48 ? 'SHA384' : 'SHA256'],
    [2, new Uint8Array(signer.length)],
  ]);
  // As they come: cborg would sort the keys of a map.
  return encode(record, { mapSorter: () => 0 });
}
