import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Bytes that can be read from any place on: a file, or what was unpacked in memory. */
export interface Source {
  readonly size: number;
  /** At most `length` bytes from `offset` on; fewer at the end. */
  read(offset: number, length: number): Buffer;
}

export const bufferSource = (bytes: Buffer): Source => ({
  size: bytes.length,
  read: (offset, length) => bytes.subarray(offset, offset + length),
});

/** A file, opened for the time of `use`. @throws Error of node:fs. */
export async function withFile<T>(path: string, use: (source: Source) => Promise<T>): Promise<T> {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    return await use({
      size,
      read(offset, length) {
        const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, size - offset)));
        let done = 0;
        while (done < bytes.length) {
          const count = readSync(file, bytes, done, bytes.length - done, offset + done);
          if (count === 0) break;
          done += count;
        }
        return bytes.subarray(0, done);
      },
    });
  } finally {
    closeSync(file);
  }
}
