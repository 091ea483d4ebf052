import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, fromWords, toHex, toWords } from '../index.ts';
import { EVEN_WORDS, ODD_WORDS } from '../word-list.data.ts';

/** From the tests of IANA's software for the ceremonies of the DNS root: iana-org/dnssec-keytools, test_wordlist.py. */
const IANA = [
  {
    hex: '8d9eadc1f305d46f1f203886aa5df98f1ed62fcbacc23d2f6732d24d928703e8',
    words:
      'optic onlooker ringbolt recover upset almighty steamship hemisphere billiard butterfat classic letterhead reward filament waffle midsummer berserk speculate cement revival ribcage repellent commence combustion freedom component standard disruptive physique liberty acme typewriter',
  },
  {
    hex: 'd7a8fbb307d7809469ca9abcb0082e4f8d5651e46d3cdb762d02d0bf37c9e592',
    words:
      'stopwatch paramount watchword pocketful ahead stethoscope merit molecule gazelle revenue pupil pyramid ruffled antenna buzzard document optic escapade drunken tradition goggles crossover suspense impetus button aftermath stagnate rebellion clamshell retrospect topmost misnomer',
  },
];

test('words are those that the key ceremonies of the DNS root read aloud', () => {
  for (const { hex, words } of IANA) {
    assert.equal(toWords(fromHex(hex)).join(' '), words);
    assert.equal(toHex(fromWords(words)), hex);
  }
});

test('the two lists have 256 words each, none of them twice and none in both', () => {
  const lists = [EVEN_WORDS, ODD_WORDS].map((list) => list.map((word) => word.toLowerCase()));
  assert.equal(new Set(lists.flat()).size, 512);
  for (const list of lists) {
    assert.equal(list.length, 256);
    assert.ok(list.every((word) => /^[a-z]{4,11}$/.test(word)));
  }
});

test('any bytes come back from their words, however these are written', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.boolean(), (bytes, loud) => {
      const text = toWords(bytes).join(loud ? ', ' : '\n  ');
      assert.deepEqual(fromWords(loud ? text.toUpperCase() : text), bytes);
    }),
  );
});

test('a word that was left out, said twice, or exchanged with its neighbour is found at its place', () => {
  const spoken = fc
    .uint8Array({ minLength: 3, maxLength: 40 })
    .chain((bytes) =>
      fc.record({ words: fc.constant(toWords(bytes)), at: fc.integer({ min: 0, max: bytes.length - 2 }) }),
    );
  fc.assert(
    fc.property(spoken, ({ words, at }) => {
      const refused = (wrong: string[], place: number) =>
        assert.throws(() => fromWords(wrong.join(' ')), new RegExp(`^TypeError: word ${place} `));
      refused(words.toSpliced(at, 1), at + 1);
      refused(words.toSpliced(at, 0, words[at] ?? ''), at + 2);
      refused(words.toSpliced(at, 2, words[at + 1] ?? '', words[at] ?? ''), at + 1);
    }),
  );
});

test('what is no word of the list is named', () => {
  assert.throws(() => fromWords('optic onlooker keystead'), /word 3 is not of the list: keystead/);
  assert.deepEqual(fromWords(''), new Uint8Array());
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        fromWords(text);
      } catch (error) {
        assert.ok(error instanceof TypeError);
      }
    }),
  );
});
