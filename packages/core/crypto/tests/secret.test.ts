import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { SecretBytes } from '../index.ts';

test('a secret does not print, in whatever way it is printed', () => {
  const key = SecretBytes.take(Buffer.from('topsecret'));
  const printed = [
    String(key),
    `${key}`,
    JSON.stringify({ key }),
    inspect(key),
    inspect({ deep: { key } }),
    inspect(key, { showHidden: true }),
  ];
  for (const text of printed) {
    assert.doesNotMatch(text, /topsecret|746f70|dG9w|116/);
    assert.match(text, /\[secret\]/);
  }
  assert.deepEqual(Object.keys(key), []);
});

test('wiping overwrites the very array that was taken over', () => {
  const array = Uint8Array.of(1, 2, 3);
  const key = SecretBytes.take(array);
  assert.equal(key.length, 3);
  key.wipe();
  assert.deepEqual(array, new Uint8Array(3));
  assert.equal(key.wiped, true);
  key.wipe();
});

test('a copy leaves the original alone', () => {
  const array = Uint8Array.of(1, 2, 3);
  SecretBytes.copy(array).wipe();
  assert.deepEqual(array, Uint8Array.of(1, 2, 3));
});

test('a secret is wiped at the end of its block, also when the block throws', () => {
  const array = Uint8Array.of(1, 2, 3);
  assert.throws(() => {
    using key = SecretBytes.take(array);
    throw new Error(String(key.length));
  });
  assert.deepEqual(array, new Uint8Array(3));
});

test('a wiped secret cannot be used as if it were zeros', () => {
  const key = SecretBytes.random(32);
  key.wipe();
  assert.throws(() => key.use((bytes) => bytes), TypeError);
  assert.throws(() => key.length, TypeError);
});
