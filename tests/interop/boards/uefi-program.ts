import { peFile } from '../../../packages/core/firmware/authenticode/tests/pe-file.ts';

/** `SystemTable->ConOut->OutputString(ConOut, text)`. */
const PRINT = [
  0xa9be7bfd, // stp x29, x30, [sp, #-32]!
  0xf9000be1, // str x1, [sp, #16]   the system table
  0xf9402020, // ldr x0, [x1, #64]   its ConOut
  0xf9400402, // ldr x2, [x0, #8]    OutputString
  0x10000001, // adr x1, text        see TEXT_FROM
  0xd63f0040, // blr x2
];
/** Back to the firmware with EFI_NOT_FOUND, upon which it tries what is next in its boot order. */
const RETURN = [
  0xa8c27bfd, // ldp x29, x30, [sp], #32
  0xd28001c0, // mov x0, #14
  0xf2f00000, // movk x0, #0x8000, lsl #48
  0xd65f03c0, // ret
];
/** `SystemTable->RuntimeServices->ResetSystem(EfiResetShutdown, EFI_SUCCESS, 0, NULL)`. */
const TURN_OFF = [
  0xf9400be1, // ldr x1, [sp, #16]
  0xf9402c20, // ldr x0, [x1, #88]   RuntimeServices
  0xf9403404, // ldr x4, [x0, #104]  ResetSystem
  0xd2800040, // mov x0, #2
  0xd2800001, // mov x1, #0
  0xd2800002, // mov x2, #0
  0xd2800003, // mov x3, #0
  0xd63f0080, // blr x4
];
/** The instruction that takes the address of the text: that of itself, and the distance in words from bit 5. */
const TEXT_FROM = 4;

const SECTION = 512;
/** Contains code, can be executed and read (PE format, section flags). */
const OF_CODE = 0x6000_0020;

/**
 * A UEFI program for AArch64 that prints a line, and returns or turns the machine off; not signed. It is put together
 * here, since no compiler for AArch64 is among the packages of the tests.
 */
export function uefiProgram(line: string, end: 'return' | 'turn off' = 'return'): Uint8Array {
  const code = [...PRINT, ...(end === 'return' ? RETURN : TURN_OFF)];
  const file = peFile({ machine: 0xaa64, sections: [SECTION] });
  const start = file.length - SECTION;
  const optional = file.readUInt32LE(0x3c) + 24;
  const table = optional + file.readUInt16LE(optional - 4);
  file.writeUInt32LE(file.readUInt32LE(table + 12), optional + 16);
  file.writeUInt32LE(OF_CODE, table + 36);
  file.fill(0, start);
  for (const [index, word] of code.entries()) {
    file.writeUInt32LE(index === TEXT_FROM ? word + (code.length - TEXT_FROM) * 32 : word, start + 4 * index);
  }
  file.write(`${line}\r\n\0`, start + 4 * code.length, 'utf16le');
  return new Uint8Array(file);
}
