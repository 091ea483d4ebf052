import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DerSpki, fromHex, toHex } from '../../bytes/index.ts';
import { ed25519Octets, ed25519Spki, generateSoftwareKey } from '../index.ts';

/** RFC 8410 section 10.1. */
const KEY = '19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1';
const SPKI = `302a300506032b6570032100${KEY}`;
const octetsOf = (hex: string) => ed25519Octets(fromHex(hex) as Uint8Array as DerSpki);

test('the octets of an Ed25519 key and its SubjectPublicKeyInfo give each other', () => {
  assert.equal(toHex(octetsOf(SPKI) ?? new Uint8Array()), KEY);
  assert.equal(toHex(ed25519Spki(fromHex(KEY))), SPKI);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
      assert.equal(toHex(ed25519Octets(ed25519Spki(key)) ?? new Uint8Array()), toHex(key));
    }),
    { numRuns: 300 },
  );
});

test('another key, another encoding of one, or anything else has no such octets', () => {
  assert.equal(ed25519Octets(generateSoftwareKey('P-256').spki), undefined);
  for (const hex of [
    '',
    `${SPKI}00`,
    SPKI.slice(0, -2),
    `30812a${SPKI.slice(4)}`,
    `3080${SPKI.slice(4)}0000`,
    `302c300706032b65700500032100${KEY}`,
    SPKI.replace('2b6570', '2b656e'),
  ])
    assert.equal(octetsOf(hex), undefined, hex);
});
