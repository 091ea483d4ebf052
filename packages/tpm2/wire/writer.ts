/** Writes values in the canonical form of TPM 2.0 Library Part 2 section 4.2: big-endian, lengths before buffers. */

export const u8 = (n: number): Uint8Array => Uint8Array.of(n);

export const u16 = (n: number): Uint8Array => Uint8Array.of(n >>> 8, n);

export const u32 = (n: number): Uint8Array => Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);

export function u64(n: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, n);
  return bytes;
}

/** The parts one after the other, in an array with a buffer of its own: what held a secret can be wiped. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(new ArrayBuffer(parts.reduce((sum, part) => sum + part.length, 0)));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A TPM2B: 16-bit length, then the bytes (Part 2 section 10.4). @throws RangeError above 65535 bytes. */
export function sized(...parts: readonly Uint8Array[]): Uint8Array {
  const content = join(...parts);
  if (content.length > 0xffff) throw new RangeError('a TPM2B holds 65535 bytes');
  return join(u16(content.length), content);
}

/** The empty buffer, as a TPM2B. */
export const EMPTY = u16(0);
