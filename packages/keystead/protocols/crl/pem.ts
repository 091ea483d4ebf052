/** Octets of one line of base64 (RFC 7468 section 2: 64 characters). */
const LINE_OCTETS = 48;
const BEGIN = '-----BEGIN X509 CRL-----\n';
const END = '-----END X509 CRL-----\n';

/** How many octets the PEM of so many octets of DER has. */
export function pemLength(derLength: number): number {
  const lines = Math.ceil(derLength / LINE_OCTETS);
  return BEGIN.length + 4 * Math.ceil(derLength / 3) + lines + END.length;
}

/** A CRL as PEM (RFC 7468 section 6), a piece for each piece of DER. */
export async function* pemOf(der: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  yield BEGIN;
  let rest: Uint8Array = new Uint8Array(0);
  for await (const piece of der) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    const whole = bytes.length - (bytes.length % LINE_OCTETS);
    if (whole > 0) yield linesOf(bytes.subarray(0, whole));
    rest = Uint8Array.from(bytes.subarray(whole));
  }
  yield `${rest.length === 0 ? '' : linesOf(rest)}${END}`;
}

function linesOf(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  return text.replace(/.{1,64}/g, '$&\n');
}
