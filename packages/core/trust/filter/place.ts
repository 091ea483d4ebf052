import type { Serial, SpkiSha256 } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { BAND, BAND_WORDS, type Band } from './ribbon.ts';

/** What a hash is for: the two levels of a filter, and its list. */
export const LEVELS = { approximate: 1, exact: 2, list: 3 } as const;
export type Level = (typeof LEVELS)[keyof typeof LEVELS];

/** Tries of a builder; a hash has one byte for it. */
export const MOST_SALTS = 256;

/** RFC 5280 section 4.1.2.2. */
const MOST_SERIAL_BYTES = 20;

/**
 * Hashes certificates for one block of a filter: SHA-256 over level (1 byte), salt (1 byte), the SHA-256 of the
 * issuer's SubjectPublicKeyInfo (32 bytes) and the serial number's octets.
 */
export class CertificateHash {
  readonly #input: Buffer;
  readonly #coefficients = new Uint32Array(BAND_WORDS);
  /** Hashes with salt 0 of the certificate that was asked for last, by level: each file of a chain asks for the same. */
  #last: Serial | undefined;
  #made: (Uint8Array | undefined)[] = [];

  constructor(issuerSpkiSha256: SpkiSha256) {
    this.#input = Buffer.alloc(34 + MOST_SERIAL_BYTES);
    this.#input.write(issuerSpkiSha256, 2, 'hex');
  }

  /** The whole hash, 32 bytes. @param serial lower-case hex. */
  of(serial: Serial, level: Level, salt: number): Uint8Array {
    if (salt !== 0) return this.#make(serial, level, salt);
    if (serial !== this.#last) {
      this.#last = serial;
      this.#made = [];
    }
    this.#made[level] ??= this.#make(serial, level, salt);
    return this.#made[level];
  }

  #make(serial: Serial, level: Level, salt: number): Uint8Array {
    this.#input[0] = level;
    this.#input[1] = salt;
    // Nobody should issue longer ones, and whoever has one is told from the next all the same: all its octets count.
    if (serial.length > 2 * MOST_SERIAL_BYTES) {
      return sha256(Buffer.concat([this.#input.subarray(0, 34), Buffer.from(serial, 'hex')]));
    }
    const length = this.#input.write(serial, 34, 'hex');
    return sha256(this.#input.subarray(0, 34 + length));
  }

  /**
   * The band of a certificate in a system of `size` unknowns: its place from the first four bytes of the hash, its
   * coefficients from the other 28, both big-endian. It is good until the next call.
   */
  band(serial: Serial, level: Level, salt: number, size: number): Band {
    const hash = this.of(serial, level, salt);
    const view = new DataView(hash.buffer, hash.byteOffset, hash.byteLength);
    const coefficients = this.#coefficients;
    for (let k = 0; k < BAND_WORDS; k += 1) coefficients[k] = view.getUint32(4 + 4 * k);
    coefficients[0] = (coefficients[0] ?? 0) | 1;
    return { start: placeIn(view.getUint32(0), size - BAND + 1), coefficients };
  }
}

/** `word * places / 2^32`, rounded down: exact, since both are below 2^32 and the product is taken in two halves. */
function placeIn(word: number, places: number): number {
  const low = (word & 0xffff) * places;
  const high = (word >>> 16) * places;
  return Math.floor((high + Math.floor(low / 0x10000)) / 0x10000);
}
