/** Lower-case hex of `bytes`. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** The bytes of a hex string. @throws TypeError when `hex` has an odd length or a digit that is not hex. */
export function fromHex(hex: string): Uint8Array {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(hex)) throw new TypeError('not hex');
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

/** Base64 with padding (RFC 4648 section 4). */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/**
 * The bytes of a base64 text; line breaks and blanks are passed over, as MIME bodies have them (RFC 2045).
 * @throws TypeError when a character is not base64 or the length is impossible.
 */
export function fromBase64(text: string): Uint8Array {
  const packed = text.replace(/[\r\n\t ]+/g, '');
  if (packed.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(packed)) throw new TypeError('not base64');
  return new Uint8Array(Buffer.from(packed, 'base64'));
}

/** Base64url without padding (RFC 4648 section 5). */
export function toBase64url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');
}

/** PEM (RFC 7468) with lines of 64 characters. `label` is for example `CERTIFICATE`. */
export function toPem(label: string, der: Uint8Array): string {
  const lines = toBase64(der).match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

/** Every block with `label` in a PEM text, in order, DER. @throws TypeError on a block that is not base64. */
export function fromPem(label: string, text: string): Uint8Array[] {
  const block = new RegExp(`-----BEGIN ${label}-----([^-]*)-----END ${label}-----`, 'g');
  return [...text.matchAll(block)].map((match) => fromBase64(match[1] ?? ''));
}

/** Whether two byte strings are the same. Not for secrets: it is not constant-time. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
