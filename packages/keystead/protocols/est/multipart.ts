import { toBase64, toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';

export interface Part {
  readonly type: string;
  readonly content: Uint8Array;
}

/**
 * The two halves of a serverkeygen answer (RFC 7030 section 4.4.2; RFC 2046 section 5.1), each base64 (RFC 8951
 * section 3.3). The boundary is random, and no base64 holds a hyphen.
 */
export function multipart(parts: readonly Part[]): { type: string; body: string } {
  const boundary = `keystead-${toHex(randomBytes(12))}`;
  const body = parts.map(
    ({ type, content }) =>
      `--${boundary}\r\nContent-Type: ${type}\r\nContent-Transfer-Encoding: base64\r\n\r\n${toBase64(content)}\r\n`,
  );
  return { type: `multipart/mixed; boundary="${boundary}"`, body: `${body.join('')}--${boundary}--\r\n` };
}
