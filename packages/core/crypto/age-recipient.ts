import { createPublicKey, ECDH } from 'node:crypto';
import { bech32 } from '@scure/base';
import type { DerSpki } from '../bytes/index.ts';
import { KeysteadError } from '../errors/index.ts';
import { importPublicKey, spkiOf } from './key.ts';

/** A public key to which files are encrypted, as age writes it (C2SP age: `age1…` and `age1tag1…`). */
export type AgeRecipient =
  | { readonly kind: 'X25519'; readonly text: string }
  /** For keys in tokens and TPMs. `point` is the public key, uncompressed, 65 bytes. */
  | { readonly kind: 'P-256'; readonly text: string; readonly point: Uint8Array };

const X25519_BYTES = 32;
const COMPRESSED_BYTES = 33;
const CURVE = 'prime256v1';

/**
 * Reads a recipient: its checksum, its length, and for P-256 that the point is on the curve.
 * @throws KeysteadError `backup.recipient-malformed`.
 */
export function parseAgeRecipient(text: string): AgeRecipient {
  const malformed = (seen: string): KeysteadError =>
    new KeysteadError('backup.recipient-malformed', { field: 'recipient', seen });
  let prefix: string;
  let bytes: Uint8Array;
  try {
    ({ prefix, bytes } = bech32.decodeToBytes(text));
  } catch {
    throw malformed('another text than age1 with its checksum');
  }
  // Bech32 has an upper-case form too; a recipient has one spelling, so that two can be compared.
  if (text !== text.toLowerCase()) throw malformed('upper case');
  if (prefix === 'age' && bytes.length === X25519_BYTES) return { kind: 'X25519', text };
  if (prefix !== 'age1tag' || bytes.length !== COMPRESSED_BYTES) throw malformed(`${prefix}, ${bytes.length} bytes`);
  try {
    const point = ECDH.convertKey(bytes, CURVE, undefined, undefined, 'uncompressed') as Buffer;
    return { kind: 'P-256', text, point: Uint8Array.from(point) };
  } catch {
    throw malformed('a point that is not on P-256');
  }
}

/** The recipient `age1tag1…` of a P-256 public key. @throws KeysteadError `key.algorithm-mismatch` for another key. */
export function ageRecipientOf(spki: DerSpki): string {
  const compressed = ECDH.convertKey(p256Point(spki), CURVE, undefined, undefined, 'compressed') as Buffer;
  return bech32.encodeFromBytes('age1tag', Uint8Array.from(compressed));
}

/** The uncompressed point of a P-256 public key, 65 bytes. @throws KeysteadError `key.algorithm-mismatch`. */
export function p256Point(spki: DerSpki): Uint8Array {
  try {
    const { crv, x, y } = importPublicKey(spki).export({ format: 'jwk' });
    if (crv === 'P-256' && x !== undefined && y !== undefined) {
      return Uint8Array.from(Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]));
    }
  } catch {
    // Told below.
  }
  throw new KeysteadError('key.algorithm-mismatch', { field: 'public key', seen: 'no key on P-256' });
}

/** SubjectPublicKeyInfo, DER, of an uncompressed point on P-256. @throws KeysteadError `key.weak` off the curve. */
export function p256Spki(point: Uint8Array): DerSpki {
  try {
    if (point.length !== 65 || point[0] !== 4) throw new TypeError('not an uncompressed point');
    const x = Buffer.from(point.subarray(1, 33)).toString('base64url');
    const y = Buffer.from(point.subarray(33)).toString('base64url');
    return spkiOf(createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' }));
  } catch {
    throw new KeysteadError('key.weak', { field: 'public key', seen: 'no point on P-256' });
  }
}
