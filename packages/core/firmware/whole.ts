import { type ImageBytes, piecesOf } from './image.ts';
import { malformed } from './malformed.ts';

/** An image that is its own subject, in memory. @throws KeysteadError `firmware.malformed` beyond `most` octets. */
export async function wholeOf(image: ImageBytes, most: number, field: string): Promise<Uint8Array> {
  if (image.size > most) throw malformed(field, `${image.size} bytes, at most ${most} are signed as a whole`);
  const pieces: Uint8Array[] = [];
  for await (const piece of piecesOf(image)) pieces.push(piece);
  return Buffer.concat(pieces);
}
