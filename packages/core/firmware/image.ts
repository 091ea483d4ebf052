/**
 * An image as its bytes can be had: from a file, from memory, from a store. It may be larger than the memory is, so
 * whoever reads it asks for parts.
 */
export interface ImageBytes {
  /** Octets. */
  readonly size: number;
  /** The octets from `offset` on, fewer than `length` only at the end. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** Octets at a time where an image is read from one end to the other. */
const PIECE = 1 << 20;

/** An image that stands in memory. */
export const imageOf = (bytes: Uint8Array): ImageBytes => ({
  size: bytes.length,
  read: async (offset, length) => bytes.subarray(offset, offset + length),
});

/** The octets from `from` on and before `to`, in pieces: memory does not grow with the image. */
export async function* piecesOf(image: ImageBytes, from = 0, to = image.size): AsyncGenerator<Uint8Array> {
  for (let at = from; at < to; at += PIECE) yield image.read(at, Math.min(PIECE, to - at));
}
