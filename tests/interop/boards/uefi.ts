import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type UefiVariables, writeVariableStore } from './uefi-variables.ts';

const CODE = '/usr/share/AAVMF/AAVMF_CODE.fd';
/** What a terminal would take for the place and the colour of what follows. */
const ESCAPES = new RegExp(`${String.fromCharCode(27)}\\[[0-9;=]*[A-Za-z]`, 'g');
/** What it says when nothing in its boot order has taken over: it waits for somebody at the keyboard. */
const GAVE_UP = 'No bootable option or device was found.';

/**
 * Boots EDK II as Debian builds it for QEMU's board `virt`. Its boot order has one program after the other, from a disk.
 * @param variables its own variables, besides those of the boot order.
 * @param programs by names of at most 8 letters, as FAT has them. The last turns the machine off.
 * @returns all that was on the console.
 */
export async function bootUefi(
  directory: string,
  variables: UefiVariables,
  programs: ReadonlyMap<string, Uint8Array>,
): Promise<string> {
  const disk = join(directory, 'disk');
  mkdirSync(disk, { recursive: true });
  const all = new Map(variables);
  const order = Buffer.alloc(programs.size * 2);
  for (const [index, [name, bytes]] of [...programs].entries()) {
    writeFileSync(join(disk, `${name}.efi`), bytes);
    all.set(`Boot${index.toString(16).toUpperCase().padStart(4, '0')}`, bootOption(name));
    order.writeUInt16LE(index, index * 2);
  }
  all.set('BootOrder', order);
  all.set('Timeout', new Uint8Array(2));
  writeVariableStore(join(directory, 'flash.fd'), all);
  const flash = [
    '-drive',
    `if=pflash,format=raw,readonly=on,file=${CODE}`,
    '-drive',
    'if=pflash,format=raw,file=flash.fd',
  ];
  const serial = ['-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-net', 'none', '-no-reboot'];
  const disks = ['-drive', 'if=virtio,format=raw,readonly=on,file=fat:disk'];
  const board = ['-machine', 'virt', '-cpu', 'cortex-a57', '-m', '256', ...serial, ...flash, ...disks];
  const child = spawn('qemu-system-aarch64', board, { cwd: directory, timeout: 300_000 });
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => {
      printed += piece.toString('latin1');
      if (printed.includes(GAVE_UP)) child.kill();
    });
  await once(child, 'close');
  return printed.replace(ESCAPES, '').replaceAll('\r', '');
}

/** EFI_LOAD_OPTION (UEFI, section 3.1.3): active, of this name, a file of the first partition of QEMU's FAT disk. */
function bootOption(name: string): Uint8Array {
  const path = Buffer.concat([partition(), node(4, 4, Buffer.from(`\\${name}.efi\0`, 'utf16le')), node(0x7f, 0xff)]);
  const head = Buffer.alloc(6);
  head.writeUInt32LE(1, 0);
  head.writeUInt16LE(path.length, 4);
  return Buffer.concat([head, Buffer.from(`${name}\0`, 'utf16le'), path]);
}

/** HARDDRIVE_DEVICE_PATH: where block/vvfat.c of QEMU puts its partition, and the signature of its MBR. */
function partition(): Uint8Array {
  const data = Buffer.alloc(38);
  data.writeUInt32LE(1, 0);
  data.writeBigUInt64LE(0x3fn, 4);
  data.writeBigUInt64LE(0xf_bfc1n, 12);
  data.writeUInt32LE(0xbe1a_fdfa, 20);
  data.writeUInt8(1, 36);
  data.writeUInt8(1, 37);
  return node(4, 1, data);
}

/** EFI_DEVICE_PATH_PROTOCOL. */
function node(type: number, subtype: number, data: Uint8Array = new Uint8Array()): Uint8Array {
  const head = Buffer.from([type, subtype, 0, 0]);
  head.writeUInt16LE(4 + data.length, 2);
  return Buffer.concat([head, data]);
}
