import { type Serial, toHex } from '../bytes/index.ts';
import { randomBytes } from '../crypto/index.ts';

/** RFC 5280 section 4.1.2.2: at most 20 octets. */
const SERIAL_OCTETS = 20;

/**
 * A new serial number: 20 octets from the random source, positive and without a leading zero octet, so 158 random
 * bits where the CA/Browser Forum asks for 64. It is not looked up for uniqueness first: a collision is less likely
 * than a fault of the machine, and the store's unique index would refuse it. REQ-KEY-GEN-01
 */
export function newSerial(): Serial {
  for (;;) {
    const bytes = randomBytes(SERIAL_OCTETS);
    const first = (bytes[0] ?? 0) & 0x7f;
    if (first === 0) continue;
    bytes[0] = first;
    return toHex(bytes) as Serial;
  }
}

/**
 * The serial number in the content octets of an INTEGER: lower-case hex without leading zero octets. RFC 5280
 * section 4.1.2.2 forbids a negative one but asks users to handle it: it is its absolute value with a `-` before,
 * as OpenSSL prints it.
 */
export function serialOf(content: Uint8Array): Serial {
  if ((content[0] ?? 0) & 0x80) {
    const negative = BigInt.asIntN(content.length * 8, BigInt(`0x${toHex(content)}`));
    const hex = (-negative).toString(16);
    return `-${hex.length % 2 === 0 ? hex : `0${hex}`}` as Serial;
  }
  const positive = content.length > 1 && content[0] === 0 ? content.subarray(1) : content;
  return toHex(positive) as Serial;
}
