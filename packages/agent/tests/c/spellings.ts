import { generateKeyPairSync } from 'node:crypto';

/**
 * The same key in ways that a reader of BER would understand, and keys of other kinds.
 * @param spki of P-256, SubjectPublicKeyInfo, DER.
 */
export function otherSpellings(spki: Uint8Array): Uint8Array[] {
  const bytes = (...parts: (readonly number[] | Uint8Array)[]) =>
    Buffer.concat(parts.map((one) => Uint8Array.from(one)));
  // 30 59, 30 13, two identifiers, 03 42 00, the point.
  const [algorithm, bits] = [spki.subarray(4, 23), spki.subarray(25)];
  const whole = (inner: Uint8Array) => bytes([0x30, inner.length], inner);
  const compressed = bytes([0, 2 + ((spki.at(-1) ?? 0) & 1)], bits.subarray(2, 34));
  const publicKey = (curve: string, paramEncoding: 'named' | 'explicit') =>
    generateKeyPairSync('ec', {
      namedCurve: curve,
      paramEncoding,
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs8', format: 'der' },
    }).publicKey;
  return [
    bytes([0x30, 0x81, 0x59], spki.subarray(2)),
    bytes([0x30, 0x82, 0, 0x59], spki.subarray(2)),
    bytes([0x30, 0x80], spki.subarray(2), [0, 0]),
    whole(bytes([0x30, 0x81, 0x13], algorithm, [0x03, 0x42], bits)),
    whole(bytes([0x30, 0x13], algorithm, [0x03, 0x81, 0x42], bits)),
    whole(bytes([0x30, 0x15], algorithm, [5, 0, 0x03, 0x42], bits)),
    whole(bytes([0x30, 0x13], algorithm, [0x03, 0x42, 1], bits.subarray(1))),
    whole(bytes([0x30, 0x13], algorithm, [0x03, 0x22], compressed)),
    whole(bytes([0x30, 0x13], algorithm, [0x03, 0x42, 0, 6], bits.subarray(2))),
    whole(bytes([0x30, 0x13], algorithm, [0x03, 0x42], bits.subarray(0, -1), [(bits.at(-1) ?? 0) ^ 1])),
    // id-ecDH (RFC 5480 section 2.1.2).
    Buffer.from(Buffer.from(spki).toString('hex').replace('06072a8648ce3d0201', '06052b8104010c'), 'hex'),
    ...['prime256v1', 'secp384r1'].map((curve) => publicKey(curve, 'explicit')),
    ...['secp521r1', 'secp256k1'].map((curve) => publicKey(curve, 'named')),
  ].map((one) => new Uint8Array(one));
}
