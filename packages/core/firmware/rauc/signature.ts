import type { ImageBytes } from '../image.ts';
import { malformed } from '../malformed.ts';

/** RAUC takes no signature that is larger (rauc, src/bundle.c). */
export const MOST_SIGNATURE_BYTES = 64 * 1024;
export const SIZE_BYTES = 8;

/**
 * Takes a signed bundle of the format `plain` apart: what is signed, as so many octets from its start, and the detached
 * CMS signature. @throws KeysteadError `firmware.malformed`.
 */
export async function raucSignature(image: ImageBytes): Promise<{ content: number; signature: Uint8Array }> {
  const field = 'the end of the bundle';
  const tail = Buffer.from(await image.read(Math.max(0, image.size - SIZE_BYTES), SIZE_BYTES));
  if (tail.length !== SIZE_BYTES) throw malformed(field, `${image.size} bytes`);
  const length = tail.readBigUInt64BE();
  const content = image.size - SIZE_BYTES - Number(length);
  if (length === 0n || length > BigInt(MOST_SIGNATURE_BYTES) || content <= 0) {
    throw malformed(field, 'no size of a signature');
  }
  return { content, signature: await image.read(content, Number(length)) };
}
