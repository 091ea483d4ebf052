import { KeysteadError } from '../errors/index.ts';
import { hkdf } from './hkdf.ts';
import { SecretBytes } from './secret.ts';

/** What purposes are called: plain enough to stand in an error and in the docs. */
const PURPOSE = /^[a-z0-9][a-z0-9 .-]{0,63}$/;
const CONTEXT_CEILING = 512;

/**
 * Keys for named purposes from one master secret, by HKDF. Each purpose is given out once: a second request for the
 * same label would be one key in two hands, which SP 800-57 pt 1 r5 section 5.2 forbids. Length, context and purpose
 * all stand in the info with their lengths, so that no two different requests ever derive related keys.
 * REQ-KEY-KDF-01.
 */
export class PurposeKeys {
  readonly #hash: 'sha256' | 'sha384';
  readonly #master: SecretBytes;
  readonly #salt: Uint8Array;
  readonly #context: Uint8Array;
  readonly #taken = new Set<string>();

  /**
   * @param master is copied; the caller wipes its own.
   * @param context what all purposes have in common: protocol, peers, file; at most 512 bytes, a string is UTF-8.
   * @throws KeysteadError `kdf.length` for a longer context.
   */
  constructor(
    master: SecretBytes,
    salt: Uint8Array,
    context: string | Uint8Array,
    hash: 'sha256' | 'sha384' = 'sha256',
  ) {
    this.#context = typeof context === 'string' ? Buffer.from(context) : new Uint8Array(context);
    if (this.#context.length > CONTEXT_CEILING) {
      throw new KeysteadError('kdf.length', { field: 'context', seen: `${this.#context.length} bytes` });
    }
    this.#hash = hash;
    this.#salt = new Uint8Array(salt);
    this.#master = master.use((bytes) => SecretBytes.copy(bytes));
  }

  /**
   * The key for `purpose`, `length` bytes.
   * @throws KeysteadError `kdf.purpose-reused` the second time, `kdf.purpose-malformed`, `kdf.length`.
   * @throws TypeError after `wipe()`.
   */
  derive(purpose: string, length: number): SecretBytes {
    if (!PURPOSE.test(purpose)) throw new KeysteadError('kdf.purpose-malformed', { field: 'purpose', seen: purpose });
    if (this.#taken.has(purpose)) throw new KeysteadError('kdf.purpose-reused', { field: 'purpose', seen: purpose });
    const key = hkdf(this.#hash, this.#master, this.#salt, purposeInfo(this.#context, purpose, length), length);
    this.#taken.add(purpose);
    return key;
  }

  wipe(): void {
    this.#master.wipe();
  }

  [Symbol.dispose](): void {
    this.wipe();
  }
}

/** 'keystead purpose 1' ‖ 0 ‖ uint16 ‖ context ‖ uint16 ‖ purpose ‖ uint32 length in bits (all big-endian). */
function purposeInfo(context: Uint8Array, purpose: string, length: number): Uint8Array {
  const label = Buffer.from(purpose, 'latin1');
  const bits = Buffer.alloc(4);
  bits.writeUInt32BE(length * 8);
  return Buffer.concat([
    Buffer.from('keystead purpose 1\0'),
    uint16(context.length),
    context,
    uint16(label.length),
    label,
    bits,
  ]);
}

function uint16(n: number): Uint8Array {
  return Uint8Array.of(n >> 8, n & 0xff);
}
