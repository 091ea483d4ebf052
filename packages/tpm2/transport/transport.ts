import { KeysteadError } from '@keystead/core/errors';
import { BUFFER_BYTES } from '../wire/constants.ts';
import { malformed } from '../wire/reader.ts';

/** Carries one command at a time to a TPM. Whoever uses it does not send the next before the answer has come. */
export interface Transport {
  /** What it is connected to, for messages. */
  readonly address: string;
  /**
   * Sends a command and gives the whole response, whose length is what its header says. Never blocks the event loop.
   * @throws KeysteadError `tpm2.unavailable` (gone, closed, no answer in time), `tpm2.malformed` (a response that is
   *   shorter or longer than it says, or larger than a TPM's buffer).
   */
  exchange(command: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** Tag, size and response code (Part 1 section 18.3). */
export const HEADER_BYTES = 10;

/**
 * The length of the response that begins with these bytes; undefined as long as the header is not whole.
 * @throws KeysteadError `tpm2.malformed`.
 */
export function responseLength(start: Uint8Array): number | undefined {
  if (start.length < HEADER_BYTES) return undefined;
  const length = new DataView(start.buffer, start.byteOffset).getUint32(2);
  if (length < HEADER_BYTES || length > BUFFER_BYTES) throw malformed('responseSize', `${length} bytes`);
  return length;
}

/** The TPM cannot be reached. */
export function unavailable(address: string, seen: string, cause?: unknown): KeysteadError {
  return new KeysteadError('tpm2.unavailable', { field: address, seen, cause });
}
