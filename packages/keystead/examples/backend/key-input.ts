import { readSync } from 'node:fs';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';

/** A PKCS#8 key in base64 with its JSON around it; RSA-4096 is some 3200 characters. */
const LARGEST_INPUT = 16 * 1024;

/**
 * Reads the TLS key from an open file descriptor until its end: JSON `{"pkcs8": "<base64 DER>"}`. Never from the
 * command line or the environment, which other processes can read. The buffers are wiped; the string that the
 * JSON parser makes cannot be, and lives until it is collected.
 * @throws KeysteadError backend.config-invalid.
 */
export function readKey(fd: number): SecretBytes {
  const input = Buffer.alloc(LARGEST_INPUT);
  try {
    let length = 0;
    for (;;) {
      const count = readSome(fd, input, length);
      if (count === 0) break;
      length += count;
    }
    return pkcs8In(input.subarray(0, length).toString('utf8'));
  } finally {
    input.fill(0);
  }
}

function readSome(fd: number, into: Buffer, at: number): number {
  try {
    return readSync(fd, into, at, into.length - at, null);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EOF') return 0;
    const seen = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new KeysteadError('backend.config-invalid', { field: `key from file descriptor ${fd}`, seen });
  }
}

function pkcs8In(text: string): SecretBytes {
  // The cause is left out on purpose: a JSON error quotes its input.
  const refuse = (seen: string): never => {
    throw new KeysteadError('backend.config-invalid', { field: 'key', seen });
  };
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && 'pkcs8' in parsed && typeof parsed.pkcs8 === 'string') {
      // Not through a pooled Buffer: the secret's bytes must be nobody else's.
      const pooled = Buffer.from(parsed.pkcs8, 'base64');
      const own = Uint8Array.from(pooled);
      pooled.fill(0);
      if (own.length > 0) return SecretBytes.take(own);
    }
  } catch {
    return refuse('no JSON');
  }
  return refuse('no field pkcs8 in base64');
}
