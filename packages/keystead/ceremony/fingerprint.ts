import { fromHex, fromWords, toHex, toWords } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';

/** The longest words of the two lists: columns stand below each other on every screen and page. */
const EVEN_WIDTH = 9;
const ODD_WIDTH = 11;
const BYTES_A_ROW = 4;

/**
 * A hash for comparing by eye and by ear: rows of four bytes, each as two groups of hex digits and as four words of
 * the PGP word list, in columns. 8 rows for SHA-256.
 */
export function fingerprintRows(hex: string, indent = ''): string {
  const bytes = fromHex(hex);
  const words = toWords(bytes);
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += BYTES_A_ROW) {
    const groups = toHex(bytes.subarray(at, at + BYTES_A_ROW)).match(/.{1,4}/g) ?? [];
    const spoken = words
      .slice(at, at + BYTES_A_ROW)
      .map((word, i) => word.padEnd(i % 2 === 0 ? EVEN_WIDTH : ODD_WIDTH));
    rows.push(`${indent}${groups.join(' ').padEnd(9)}   ${spoken.join('  ').trimEnd()}`);
  }
  return rows.join('\n');
}

/**
 * A SHA-256 as somebody typed it: hex in groups or not, or the 32 words. In lower-case hex.
 * @throws KeysteadError `fingerprint.malformed` with what is wrong.
 */
export function readFingerprint(text: string): string {
  const packed = text.replace(/[\s:]/g, '').toLowerCase();
  if (/^[0-9a-f]{64}$/.test(packed)) return packed;
  let bytes: Uint8Array;
  try {
    bytes = fromWords(text);
  } catch (cause) {
    const seen = cause instanceof Error ? cause.message : undefined;
    throw new KeysteadError('fingerprint.malformed', { field: 'fingerprint', seen, cause });
  }
  if (bytes.length !== 32) {
    throw new KeysteadError('fingerprint.malformed', { field: 'fingerprint', seen: `${bytes.length} words` });
  }
  return toHex(bytes);
}
