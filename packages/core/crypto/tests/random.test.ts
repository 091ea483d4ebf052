import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lintSources } from '../../../../tools/lint/sources.ts';
import { randomBytes } from '../index.ts';

test('random bytes have the length asked for, and an array of their own', () => {
  for (const length of [0, 1, 20, 1000]) {
    const bytes = randomBytes(length);
    assert.equal(bytes.length, length);
    assert.equal(bytes.buffer.byteLength, length);
  }
  assert.notDeepEqual(randomBytes(32), randomBytes(32));
});

test('a length that is no length is refused', () => {
  for (const length of [-1, 1.5, Number.NaN, 2 ** 31]) assert.throws(() => randomBytes(length), RangeError);
});

test('TEST-KEY-01: no other random source appears anywhere in the code', () => {
  assert.deepEqual(
    lintSources().filter((finding) => finding.includes('randomness')),
    [],
  );
});
