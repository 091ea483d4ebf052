import { closeSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';

// A variable store of EDK II with authenticated variables, as a factory writes it into the flash of a board:
// MdeModulePkg/Include/Guid/VariableFormat.h, MdePkg/Include/Pi/PiFirmwareVolume.h.

/** A flash that was formatted, of which nothing but the headers is kept: the empty one of the package has none. */
const FORMATTED = '/usr/share/AAVMF/AAVMF_VARS.snakeoil.fd';
/** The part of the volume that holds variables, at the start of the flash; the volume, with its spare; the flash. */
const VARIABLES_OCTETS = 0x4_0000;
const VOLUME_OCTETS = 0xc_0000;
const FLASH_OCTETS = 64 * 1024 * 1024;
/** Where EFI_FIRMWARE_VOLUME_HEADER has its own length, and the octets of VARIABLE_STORE_HEADER behind it. */
const HEADER_LENGTH_AT = 48;
const STORE_HEADER_OCTETS = 28;
/** AUTHENTICATED_VARIABLE_HEADER. */
const VARIABLE_HEADER_OCTETS = 60;
const START_ID = 0x55aa;
const ADDED = 0x3f;
const ERASED = 0xff;

/** Attributes (UEFI, section 8.2): kept, for boot services and at run time; and written by whoever signs with a time. */
const PLAIN = 0x07;
const AUTHENTICATED = 0x27;
const GLOBAL = '8be4df61-93ca-11d2-aa0d-00e098032b8c';
const SECURITY_DATABASE = 'd719b2cb-3d3a-4596-a3bc-dad00e67656f';

/** By names: PK, KEK, db and dbx of Secure Boot, which the firmware enforces from when it has a PK, and boot options. */
export type UefiVariables = ReadonlyMap<string, Uint8Array>;

/** Writes the flash of a board whose firmware has these variables and no others. */
export function writeVariableStore(path: string, variables: UefiVariables): void {
  const volume = Buffer.alloc(VOLUME_OCTETS);
  const formatted = openSync(FORMATTED, 'r');
  readSync(formatted, volume, 0, VOLUME_OCTETS, 0);
  closeSync(formatted);
  let at = volume.readUInt16LE(HEADER_LENGTH_AT) + STORE_HEADER_OCTETS;
  volume.fill(ERASED, at, VARIABLES_OCTETS);
  for (const [name, data] of variables) {
    const written = variable(name, data);
    volume.set(written, at);
    at = Math.ceil((at + written.length) / 4) * 4;
  }
  const flash = openSync(path, 'w');
  writeSync(flash, volume);
  ftruncateSync(flash, FLASH_OCTETS);
  closeSync(flash);
}

function variable(name: string, data: Uint8Array): Uint8Array {
  const text = Buffer.from(`${name}\0`, 'utf16le');
  const header = Buffer.alloc(VARIABLE_HEADER_OCTETS);
  header.writeUInt16LE(START_ID, 0);
  header.writeUInt8(ADDED, 2);
  header.writeUInt32LE(['PK', 'KEK', 'db', 'dbx'].includes(name) ? AUTHENTICATED : PLAIN, 4);
  header.writeUInt32LE(text.length, 36);
  header.writeUInt32LE(data.length, 40);
  header.set(guid(name.startsWith('db') ? SECURITY_DATABASE : GLOBAL), 44);
  return Buffer.concat([header, text, data]);
}

function guid(written: string): Uint8Array {
  const bytes = Buffer.from(written.replaceAll('-', ''), 'hex');
  for (const [from, to] of [
    [0, 4],
    [4, 6],
    [6, 8],
  ] as const)
    bytes.subarray(from, to).reverse();
  return bytes;
}
