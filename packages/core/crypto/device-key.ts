import { createHmac } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { offHeap, SecretBytes } from './secret.ts';

const HASH_BYTES = { sha256: 32, sha384: 48 } as const;

/**
 * SP 800-108r1 key derivation in counter mode with HMAC (section 4.1): K(i) = HMAC(key, [i] ‖ label ‖ 0x00 ‖ context ‖
 * [L]), with 32-bit i and L, both big-endian, L in bits. As `openssl kdf KBKDF` does it. REQ-KEY-KDF-01.
 * @param key stays with the caller. @param length bytes, 1 to 8160.
 * @throws KeysteadError `kdf.length`.
 */
export function kbkdf(
  hash: 'sha256' | 'sha384',
  key: SecretBytes,
  label: Uint8Array,
  context: Uint8Array,
  length: number,
): SecretBytes {
  return counterMode(hash, key, Buffer.concat([label, Uint8Array.of(0), context, uint32(length * 8)]), length);
}

/** For this room and its tests: K(i) = HMAC(key, [i] ‖ fixed), as the CAVP vectors give the input. */
export function counterMode(
  hash: 'sha256' | 'sha384',
  key: SecretBytes,
  fixed: Uint8Array,
  length: number,
): SecretBytes {
  // The standard allows 2^32-1 blocks; nobody needs more than HKDF gives.
  if (!Number.isInteger(length) || length < 1 || length > 255 * 32) {
    throw new KeysteadError('kdf.length', { field: 'length', seen: String(length) });
  }
  const output = offHeap(length);
  for (let at = 0, i = 1; at < length; at += HASH_BYTES[hash], i += 1) {
    const block = key.use((secret) => createHmac(hash, secret).update(uint32(i)).update(fixed).digest());
    output.set(block.subarray(0, length - at), at);
    block.fill(0);
  }
  return SecretBytes.take(output);
}

/**
 * The key of one device for one purpose, from a fleet's master: 32 bytes by `kbkdf` with SHA-256, label the purpose and
 * context the device id. Whoever has a device's key learns nothing about the master or another device's key.
 * REQ-KEY-KDF-01.
 * @param purpose lower-case letters, digits, blanks, dots and hyphens. @throws KeysteadError `kdf.purpose-malformed`.
 */
export function deviceKey(master: SecretBytes, deviceId: string, purpose: string): SecretBytes {
  // No NUL can stand in the label, so the 0x00 after it always separates (SP 800-108r1 section 4).
  if (!/^[a-z0-9][a-z0-9 .-]{0,63}$/.test(purpose)) {
    throw new KeysteadError('kdf.purpose-malformed', { field: 'purpose', seen: purpose });
  }
  return kbkdf('sha256', master, Buffer.from(`keystead device key 1 ${purpose}`), Buffer.from(deviceId), 32);
}

function uint32(n: number): Uint8Array {
  return Uint8Array.of(n >>> 24, n >>> 16, n >>> 8, n);
}
