import { createHmac } from 'node:crypto';
import { KeysteadError } from '../errors/index.ts';
import { HASH_BYTES, type KdfHash, requireDerivable, uint32 } from './kdf-bounds.ts';
import { offHeap, SecretBytes } from './secret.ts';

/** Which pseudorandom blocks are strung together (SP 800-108r1 sections 4.1 and 4.2), with a counter of r bits. */
export type KbkdfMode =
  | {
      /** K(i) = HMAC(key, [i] ‖ fixed). */
      readonly mode: 'counter';
      readonly counterBits?: 8 | 16 | 24 | 32;
    }
  | {
      /** K(i) = HMAC(key, K(i-1) ‖ [i] ‖ fixed), K(0) the IV. */
      readonly mode: 'feedback';
      readonly counterBits?: 8 | 16 | 24 | 32;
      /** Public; empty when left out. */
      readonly iv?: Uint8Array;
    };

const COUNTER: KbkdfMode = { mode: 'counter' };

/**
 * SP 800-108r1 key derivation with HMAC. The fixed input is label ‖ 0x00 ‖ context ‖ [L], with L the length in bits as
 * 32 bits, as `openssl kdf KBKDF` has it: the label has no 0x00 and [L] always four octets, so that no two requests give
 * the same input. Whoever uses one key with two counter widths or two modes loses that: a key has one of each.
 * REQ-KEY-KDF-01.
 * @param key at least 14 bytes; stays with the caller. @param label what the derived key is for; not secret.
 * @param context who the derived key is for; not secret. @param length bytes, 1 to 8160.
 * @param mode counter mode with 32 bits unless said otherwise.
 * @throws KeysteadError `kdf.length`, `kdf.master-too-short`, `kdf.label-malformed`.
 */
export function kbkdf(
  hash: KdfHash,
  key: SecretBytes,
  label: Uint8Array,
  context: Uint8Array,
  length: number,
  mode: KbkdfMode = COUNTER,
): SecretBytes {
  requireDerivable(key, length);
  return kbkdfOverFixed(hash, key, kbkdfInput(label, context, length), length, mode);
}

/**
 * The fixed input of {@link kbkdf}, for a master that only a token can read: K(i) is then its HMAC over [i], four octets,
 * and this. @throws KeysteadError `kdf.label-malformed`.
 */
export function kbkdfInput(label: Uint8Array, context: Uint8Array, length: number): Uint8Array {
  if (label.length === 0 || label.includes(0)) {
    throw new KeysteadError('kdf.label-malformed', { field: 'label', seen: `${label.length} bytes` });
  }
  return Buffer.concat([label, Uint8Array.of(0), context, uint32(length * 8)]);
}

/** For this room and its tests: the derivation over a fixed input made elsewhere, as CAVP's vectors give it. */
export function kbkdfOverFixed(
  hash: KdfHash,
  key: SecretBytes,
  fixed: Uint8Array,
  length: number,
  mode: KbkdfMode = COUNTER,
): SecretBytes {
  requireDerivable(key, length);
  const octets = (mode.counterBits ?? 32) / 8;
  const output = offHeap(length);
  // K(i-1) is key material: it lies where it can be wiped.
  let last = mode.mode === 'feedback' ? Buffer.from(mode.iv ?? []) : Buffer.alloc(0);
  for (let at = 0, i = 1; at < length; at += HASH_BYTES[hash], i += 1) {
    const counter = uint32(i).subarray(4 - octets);
    const block = key.use((secret) => {
      const hmac = createHmac(hash, secret);
      if (mode.mode === 'feedback') hmac.update(last);
      return hmac.update(counter).update(fixed).digest();
    });
    output.set(block.subarray(0, length - at), at);
    last.fill(0);
    last = block;
  }
  last.fill(0);
  return SecretBytes.take(output);
}
