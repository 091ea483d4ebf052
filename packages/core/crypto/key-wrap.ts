import { createCipheriv, createDecipheriv } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { SecretBytes } from './secret.ts';

/** SP 800-38F: KW (RFC 3394) for whole multiples of 64 bits, KWP (RFC 5649), which pads, for any length. */
export type WrapMode = 'AES-KW' | 'AES-KWP';

/** OpenSSL's name before and after the key's length; the initial value that unwrapping must find again. */
const MODES = {
  // RFC 3394 section 2.2.3.1.
  'AES-KW': { suffix: 'wrap', icv: Buffer.from('a6a6a6a6a6a6a6a6', 'hex') },
  // RFC 5649 section 3; OpenSSL adds the length.
  'AES-KWP': { suffix: 'wrap-pad', icv: Buffer.from('a65959a6', 'hex') },
} as const;

const KEY_BYTES: readonly number[] = [16, 24, 32];
const SEMIBLOCK = 8;

/**
 * A key wrapped for transport under another key, authenticated and without a nonce: the same key wraps to the same bytes.
 * KW gives 8 bytes more, KWP as many as fill the last 8 and 8 more.
 * @param kek 16, 24 or 32 bytes, used for nothing but wrapping; stays with the caller, as does `key`.
 * @throws KeysteadError `wrap.length` for KW of other than 16, 24, 32, … bytes and KWP of none (SP 800-38F section 5.3.1).
 * @throws RangeError for a wrapping key of another length.
 */
export function wrapKey(mode: WrapMode, kek: SecretBytes, key: SecretBytes): Uint8Array {
  const wholeBlocks = key.length >= 2 * SEMIBLOCK && key.length % SEMIBLOCK === 0;
  if (mode === 'AES-KW' ? !wholeBlocks : key.length === 0) {
    throw new KeysteadError('wrap.length', { field: mode, seen: `${key.length} bytes` });
  }
  const { name, icv } = cipherOf(mode, kek);
  return kek.use((bytes) => {
    const cipher = createCipheriv(name, bytes, icv);
    return key.use((plaintext) => new Uint8Array(Buffer.concat([cipher.update(plaintext), cipher.final()])));
  });
}

/**
 * The key that {@link wrapKey} wrapped. That it cannot be unwrapped is all that is told: not whether length, initial value
 * or padding was at fault.
 * @throws KeysteadError `wrap.damaged`. @throws RangeError for a wrapping key that has not 16, 24 or 32 bytes.
 */
export function unwrapKey(mode: WrapMode, kek: SecretBytes, wrapped: Uint8Array): SecretBytes {
  const { name, icv } = cipherOf(mode, kek);
  // OpenSSL takes nothing at all for nothing wrapped.
  const floor = mode === 'AES-KW' ? 3 * SEMIBLOCK : 2 * SEMIBLOCK;
  if (wrapped.length < floor) throw new KeysteadError('wrap.damaged', { field: 'wrapped key' });
  return kek.use((bytes) => {
    try {
      const decipher = createDecipheriv(name, bytes, icv);
      const key = decipher.update(wrapped);
      decipher.final();
      return SecretBytes.take(new Uint8Array(key.buffer, key.byteOffset, key.length));
    } catch {
      throw new KeysteadError('wrap.damaged', { field: 'wrapped key' });
    }
  });
}

function cipherOf(mode: WrapMode, kek: SecretBytes): { name: string; icv: Uint8Array } {
  if (!KEY_BYTES.includes(kek.length)) throw new RangeError('a wrapping key has 16, 24 or 32 bytes');
  const { suffix, icv } = MODES[mode];
  return { name: `id-aes${kek.length * 8}-${suffix}`, icv };
}
