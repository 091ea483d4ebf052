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

/**
 * The two numbers of an Ecdsa-Sig-Value, each in `octets` octets, one after the other: the form of JWS (RFC 7518 section
 * 3.4) and COSE (RFC 9053 section 2.1). For signatures that a signer of ours has just made: it checks their form only as
 * far as it needs.
 * @throws RangeError for what is no such value.
 */
export function ecdsaNumbers(der: Uint8Array, octets: number): Uint8Array {
  let at = (der[1] ?? 0) < 0x80 ? 2 : 3;
  const numbers = new Uint8Array(2 * octets);
  for (const end of [octets, 2 * octets]) {
    const length = der[at + 1] ?? 0;
    const number = der.subarray(at + 2, at + 2 + length);
    const magnitude = number[0] === 0 ? number.subarray(1) : number;
    if (der[at] !== 0x02 || length === 0 || magnitude.length > octets) throw new RangeError('no Ecdsa-Sig-Value');
    numbers.set(magnitude, end - magnitude.length);
    at += 2 + length;
  }
  return numbers;
}
