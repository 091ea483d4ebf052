import type { Serial } from '@keystead/core/bytes';

/** Octets of one piece: a million serial numbers are twenty of them. */
const PIECE = 1024 * 1024;
/** Nobody should issue longer ones (RFC 5280 section 4.1.2.2 has 20); a length is one octet. */
const LONGEST = 255;

/**
 * Serial numbers in 21 octets each (a length, then the number), where a string takes 60 and a Set of them 100. Its pieces
 * are handed to a thread without a copy.
 */
export class PackedSerials implements Iterable<Serial> {
  readonly #pieces: Uint8Array<ArrayBuffer>[];
  /** Octets used of the last piece. */
  #used: number;

  /** @param pieces those of another one, which is not used any more. */
  constructor(pieces: readonly Uint8Array<ArrayBuffer>[] = []) {
    this.#pieces = [...pieces];
    this.#used = PIECE;
  }

  /** @param serial hex; the same one may be added twice. */
  add(serial: Serial): void {
    const length = serial.length / 2;
    if (!Number.isInteger(length) || length < 1 || length > LONGEST) return;
    let piece = this.#pieces.at(-1);
    if (piece === undefined || this.#used + 1 + length > PIECE) {
      piece = new Uint8Array(PIECE);
      this.#pieces.push(piece);
      this.#used = 0;
    }
    piece[this.#used] = length;
    Buffer.from(piece.buffer, piece.byteOffset + this.#used + 1, length).write(serial, 'hex');
    this.#used += 1 + length;
  }

  /** The pieces, for who makes another one of them elsewhere. */
  get pieces(): readonly Uint8Array<ArrayBuffer>[] {
    return this.#pieces;
  }

  *[Symbol.iterator](): Generator<Serial> {
    for (const piece of this.#pieces) {
      const octets = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
      // No number has a length of 0: what is left of a piece is zeros.
      for (let at = 0, length = piece[0] ?? 0; length > 0; at += 1 + length, length = piece[at] ?? 0)
        yield octets.toString('hex', at + 1, at + 1 + length) as Serial;
    }
  }
}
