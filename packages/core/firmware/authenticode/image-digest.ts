import { createHash } from 'node:crypto';
import { type ImageBytes, piecesOf } from '../image.ts';
import type { PeImage } from './pe.ts';

/** A certificate table begins at a multiple of it; what is missing before it is filled with zeros and hashed. */
const ALIGNMENT = 8;

/** Zeros that follow the image before its certificate table. */
export const padding = (size: number): Uint8Array => new Uint8Array((ALIGNMENT - (size % ALIGNMENT)) % ALIGNMENT);

/** What one reading of an image gives. */
export interface ImageSums {
  /** The Authenticode digest: SHA-256 of the image without checksum and entry of the certificate table, padded. */
  readonly sha256: Uint8Array;
  /** Of the image with the checksum field as zero, and its padding; not yet folded, without the size. */
  readonly sum: number;
}

/** Reads an image once, as a stream. */
export async function sumsOf(image: ImageBytes, { checksumAt, certificatesAt, size }: PeImage): Promise<ImageSums> {
  const hash = createHash('sha256');
  const checksum = new PeChecksum();
  for await (const piece of piecesOf(image, 0, checksumAt)) {
    hash.update(piece);
    checksum.add(piece);
  }
  checksum.add(new Uint8Array(4));
  for await (const piece of piecesOf(image, checksumAt + 4, certificatesAt)) {
    hash.update(piece);
    checksum.add(piece);
  }
  // Of an image without a signature the entry is eight zeros.
  checksum.add(new Uint8Array(8));
  for await (const piece of piecesOf(image, certificatesAt + 8, size)) {
    hash.update(piece);
    checksum.add(piece);
  }
  const pad = padding(size);
  hash.update(pad);
  checksum.add(pad);
  return { sha256: hash.digest(), sum: checksum.sum };
}

/** The checksum of a PE file: its 16-bit little-endian words added with the carry, and then its size. */
export class PeChecksum {
  sum: number;
  /** An octet whose other half has not come yet. */
  #odd: number | undefined;

  constructor(sum = 0) {
    this.sum = sum;
  }

  add(bytes: Uint8Array): void {
    let at = 0;
    let { sum } = this;
    if (this.#odd !== undefined && bytes.length > 0) {
      sum += this.#odd | ((bytes[0] ?? 0) << 8);
      this.#odd = undefined;
      at = 1;
    }
    for (; at + 1 < bytes.length; at += 2) {
      // Up to 2^20 octets at a time: 2^19 words of 16 bits stay far below 2^53.
      sum += (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
    }
    if (at < bytes.length) this.#odd = bytes[at];
    this.sum = fold(sum);
  }

  /** @param size of the whole file, octets. */
  of(size: number): number {
    return (fold(this.sum + (this.#odd ?? 0)) + size) >>> 0;
  }
}

/** Adds what is above 16 bits to what is below, until nothing is. */
function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return folded;
}
