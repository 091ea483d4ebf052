/**
 * Ecdsa-Sig-Value, DER (RFC 3279 section 2.2.3): SEQUENCE of two INTEGERs. Tokens and TPMs give the two numbers alone,
 * and node:crypto has no conversion.
 * @param r @param s unsigned, big-endian, at most 66 octets (P-521), leading zeros allowed.
 */
export function ecdsaSigValue(r: Uint8Array, s: Uint8Array): Uint8Array {
  const numbers = Buffer.concat([unsignedInteger(r), unsignedInteger(s)]);
  // Two numbers of P-521 take 138 octets: the length may need the long form.
  const length = numbers.length < 0x80 ? [numbers.length] : [0x81, numbers.length];
  return new Uint8Array(Buffer.concat([Uint8Array.of(0x30, ...length), numbers]));
}

function unsignedInteger(number: Uint8Array): Uint8Array {
  const first = number.findIndex((octet) => octet !== 0);
  const magnitude = first === -1 ? Uint8Array.of(0) : number.subarray(first);
  const sign = (magnitude[0] ?? 0) >= 0x80 ? [0] : [];
  return Uint8Array.of(0x02, sign.length + magnitude.length, ...sign, ...magnitude);
}
