import { KeysteadError } from '@keystead/core/errors';

/** The largest frame in either direction, in bytes. */
export const MAX_FRAME_BYTES = 8 * 1024 * 1024;
const HEADER = 4;

/** A frame: its length as uint32, big-endian, then that many bytes. @throws KeysteadError `keyd.frame-refused`. */
export function encodeFrame(parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  if (length > MAX_FRAME_BYTES) throw refusedFrame(`${length} bytes of at most ${MAX_FRAME_BYTES}`);
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUInt32BE(length);
  return Buffer.concat([header, ...parts], HEADER + length);
}

/**
 * Cuts a stream into frames. A length that is too large is refused as soon as it is read, before memory is given to
 * it; bytes are joined only once a whole frame is there, so that a frame in small pieces costs no more than in one.
 */
export class FrameDecoder {
  #chunks: Buffer[] = [];
  #held = 0;
  /** Length of the frame that is being read with its header, or of the header alone. */
  #wanted = HEADER;

  /** The frames that `chunk` completes, without headers. @throws KeysteadError `keyd.frame-refused`. */
  push(chunk: Uint8Array): Buffer[] {
    this.#chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    this.#held += chunk.length;
    const frames: Buffer[] = [];
    if (this.#held < this.#wanted) return frames;
    let bytes = this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks, this.#held);
    for (;;) {
      this.#wanted = bytes.length < HEADER ? HEADER : HEADER + lengthOf(bytes);
      if (bytes.length < HEADER || bytes.length < this.#wanted) break;
      frames.push(bytes.subarray(HEADER, this.#wanted));
      bytes = bytes.subarray(this.#wanted);
    }
    this.#chunks = bytes.length === 0 ? [] : [bytes];
    this.#held = bytes.length;
    return frames;
  }

  /** Whether a frame has begun and not ended. */
  get partial(): boolean {
    return this.#held > 0;
  }
}

function lengthOf(bytes: Buffer): number {
  const length = bytes.readUInt32BE(0);
  if (length === 0 || length > MAX_FRAME_BYTES) throw refusedFrame(`a length of ${length}`);
  return length;
}

const refusedFrame = (seen: string): KeysteadError => new KeysteadError('keyd.frame-refused', { field: 'frame', seen });
