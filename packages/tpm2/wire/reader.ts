import { KeysteadError } from '@keystead/core/errors';

/**
 * Reads what a TPM sent, in the canonical form of TPM 2.0 Library Part 2 section 4.2: big-endian numbers and `TPM2B`
 * buffers, a 16-bit length before the bytes. Every method throws KeysteadError `tpm2.malformed` when the bytes end
 * before the value does, naming the field.
 */
export class WireReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** How many bytes have not been read. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#advance(1, field));
  }

  u16(field: string): number {
    return this.#view.getUint16(this.#advance(2, field));
  }

  u32(field: string): number {
    return this.#view.getUint32(this.#advance(4, field));
  }

  u64(field: string): bigint {
    return this.#view.getBigUint64(this.#advance(8, field));
  }

  /** A copy, so that what it was read from can be wiped. */
  bytes(length: number, field: string): Uint8Array {
    const at = this.#advance(length, field);
    return this.#bytes.slice(at, at + length);
  }

  /** The content of a TPM2B, at most `ceiling` bytes (Part 2 section 10.4). */
  sized(ceiling: number, field: string): Uint8Array {
    const length = this.u16(`the length of ${field}`);
    if (length > ceiling) throw malformed(field, `${length} bytes, more than ${ceiling}`);
    return this.bytes(length, field);
  }

  /** A count that announces list elements, at most `ceiling` of them (Part 2 section 10.9). */
  count(ceiling: number, field: string): number {
    const count = this.u32(`the count of ${field}`);
    if (count > ceiling) throw malformed(field, `${count} elements, more than ${ceiling}`);
    return count;
  }

  /** All that has not been read. */
  rest(): Uint8Array {
    return this.bytes(this.left, 'the rest');
  }

  /** Refuses what stands behind the last value. */
  end(field: string): void {
    if (this.left > 0) throw malformed(field, `${this.left} bytes after its end`);
  }

  #advance(length: number, field: string): number {
    if (length > this.left) throw malformed(field, `${this.left} bytes where ${length} are needed`);
    const at = this.#at;
    this.#at += length;
    return at;
  }
}

/** What a TPM sent is not what Part 2 says it must be. */
export function malformed(field: string, seen: string): KeysteadError {
  return new KeysteadError('tpm2.malformed', { field, seen });
}
