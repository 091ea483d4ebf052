import { derKeys } from './der-keys.ts';
import type { Find } from './find.ts';
import { LONGEST_TEXT, textKeys } from './text-keys.ts';

/** How much of a file is looked at at once. */
export const WINDOW = 8 * 1024 * 1024;
/** So much before and after it is looked at with it, so that no key falls between and none is told twice. */
export const OVERLAP = 2 * LONGEST_TEXT;

/**
 * Every private key in a piece of a file, each once: what stands inside another, as SEC 1 in PKCS#8, is not told again. UTF-16, as
 * Windows writes text, is looked at too.
 */
export function keysIn(bytes: Buffer): Find[] {
  const finds = [...derKeys(bytes), ...textKeys(bytes.toString('latin1'))];
  if (bytes.includes(Buffer.from('PRIVATE KEY-----', 'utf16le'))) {
    for (const odd of [0, 1]) {
      const text = bytes.subarray(odd, bytes.length - ((bytes.length - odd) % 2)).toString('utf16le');
      for (const find of textKeys(latin1Of(text))) finds.push({ ...find, offset: odd + 2 * find.offset });
    }
  }
  finds.sort((a, b) => a.offset - b.offset || b.length - a.length);
  let end = 0;
  return finds.flatMap(({ length, ...find }) => {
    if (find.offset < end) return [];
    end = find.offset + length;
    return [find];
  });
}

/** What is no character of latin1 becomes a zero, so that no two are taken for one. */
const latin1Of = (text: string): string =>
  Array.from({ length: text.length }, (_, at) => (text.charCodeAt(at) < 0x100 ? text[at] : '\0')).join('');
