import { EVEN_WORDS, ODD_WORDS } from './word-list.data.ts';

/** Each word, in lower case, with the byte that it stands for and the parity of its place. */
const BY_WORD: ReadonlyMap<string, { readonly byte: number; readonly parity: number }> = new Map(
  [EVEN_WORDS, ODD_WORDS].flatMap((words, parity) => words.map((word, byte) => [word.toLowerCase(), { byte, parity }])),
);

/** Bytes as words of the PGP word list, one a byte, for reading aloud: the first byte's place is even. */
export function toWords(bytes: Uint8Array): string[] {
  return Array.from(bytes, (byte, place) => (place % 2 === 0 ? EVEN_WORDS : ODD_WORDS)[byte] ?? '');
}

/**
 * The bytes of words as {@link toWords} gives them; upper and lower case are the same, anything but letters separates.
 * The two lists alternate, so a word that was left out, said twice or moved by one place is found.
 * @throws TypeError with the place (from 1) and the word when it is none of the list, or not one for its place.
 */
export function fromWords(text: string): Uint8Array {
  const words = text.toLowerCase().match(/[a-z]+/g) ?? [];
  return Uint8Array.from(words, (word, place) => {
    const found = BY_WORD.get(word);
    if (found === undefined) throw new TypeError(`word ${place + 1} is not of the list: ${word}`);
    if (found.parity !== place % 2) {
      throw new TypeError(`word ${place + 1} is not one for its place, one is missing or too many: ${word}`);
    }
    return found.byte;
  });
}
