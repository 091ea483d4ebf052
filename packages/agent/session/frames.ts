import { openBytes, type SecretBytes, sealBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { SessionPurpose } from './keys.ts';

/** version (1) ‖ counter (8, big-endian) ‖ AES-256-GCM with a random 96-bit IV. */
const VERSION = 1;
const HEADER_LENGTH = 9;
/** SP 800-38D section 8.3: at most 2^32 messages under one key with random IVs. */
const MOST_MESSAGES = 2 ** 32;

const associatedData = (purpose: SessionPurpose, header: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(`keystead frame ${purpose}\0`), header]);

/** Seals messages of one direction, numbered from 0. */
export class FrameWriter {
  readonly #key: SecretBytes;
  readonly #purpose: SessionPurpose;
  #next = 0;

  constructor(key: SecretBytes, purpose: SessionPurpose) {
    this.#key = key;
    this.#purpose = purpose;
  }

  /** @throws KeysteadError session.exhausted after 2^32 messages. */
  seal(message: Uint8Array): Uint8Array {
    if (this.#next >= MOST_MESSAGES) throw new KeysteadError('session.exhausted', { field: this.#purpose });
    const header = new Uint8Array(HEADER_LENGTH);
    header[0] = VERSION;
    new DataView(header.buffer).setBigUint64(1, BigInt(this.#next));
    this.#next += 1;
    return Buffer.concat([header, sealBytes(this.#key, message, associatedData(this.#purpose, header))]);
  }
}

/**
 * Opens the messages of one direction. Each must have the number that comes next, so that one that was played
 * back, left out, moved, or turned round into the other direction is refused.
 */
export class FrameReader {
  readonly #key: SecretBytes;
  readonly #purpose: SessionPurpose;
  #next = 0;

  constructor(key: SecretBytes, purpose: SessionPurpose) {
    this.#key = key;
    this.#purpose = purpose;
  }

  /** @throws KeysteadError session.frame-refused; the session should then be given up. */
  open(frame: Uint8Array): Uint8Array {
    if (frame.length < HEADER_LENGTH || frame[0] !== VERSION) {
      throw new KeysteadError('session.frame-refused', {
        field: 'frame',
        seen: `${frame.length} bytes, version ${frame[0] ?? 'none'}`,
      });
    }
    const header = frame.subarray(0, HEADER_LENGTH);
    const counter = new DataView(frame.buffer, frame.byteOffset, frame.length).getBigUint64(1);
    if (counter !== BigInt(this.#next)) {
      throw new KeysteadError('session.frame-refused', { field: 'counter', seen: `${counter}, next is ${this.#next}` });
    }
    try {
      using opened = openBytes(this.#key, frame.subarray(HEADER_LENGTH), associatedData(this.#purpose, header));
      const message = opened.use((bytes) => Uint8Array.from(bytes));
      this.#next += 1;
      return message;
    } catch (cause) {
      throw new KeysteadError('session.frame-refused', { field: 'seal', seen: 'a frame that does not open', cause });
    }
  }
}
