import { open } from 'node:fs/promises';
import { KeysteadError } from '@keystead/core/errors';
import type { ImageBytes } from '@keystead/core/firmware';

/** An image in a file, which is read where it is asked for. */
export interface ImageFile extends ImageBytes, AsyncDisposable {}

/** @throws KeysteadError `firmware.malformed` for what cannot be read as a file. */
export async function openImage(path: string): Promise<ImageFile> {
  const refused = (cause?: unknown) =>
    new KeysteadError('firmware.malformed', { field: path, seen: 'no readable file', cause });
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw refused(cause);
  });
  const stat = await file.stat();
  if (!stat.isFile()) {
    await file.close();
    throw refused();
  }
  return {
    size: stat.size,
    read: async (offset, length) => {
      const bytes = new Uint8Array(Math.max(0, Math.min(length, stat.size - offset)));
      let got = 0;
      while (got < bytes.length) {
        const { bytesRead } = await file.read(bytes, got, bytes.length - got, offset + got);
        if (bytesRead === 0) break;
        got += bytesRead;
      }
      return bytes.subarray(0, got);
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}
