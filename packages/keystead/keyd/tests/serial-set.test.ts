import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Serial } from '@keystead/core/bytes';
import { newSerial } from '@keystead/core/x509';
import fc from 'fast-check';
import { SerialSet } from '../serial-set.ts';

const serial = fc
  .tuple(fc.integer({ min: 1, max: 127 }), fc.uint8Array({ maxLength: 19 }))
  .map(([first, rest]) => Buffer.from([first, ...rest]).toString('hex') as Serial);

test('a set of serial numbers holds what was put in and nothing else, as a Set of strings does', () => {
  fc.assert(
    fc.property(fc.array(serial, { maxLength: 3000 }), fc.array(serial, { maxLength: 50 }), (put, asked) => {
      const set = new SerialSet();
      const plain = new Set<Serial>();
      for (const one of put) {
        set.add(one);
        plain.add(one);
      }
      assert.equal(set.size, plain.size);
      for (const one of [...put, ...asked]) assert.equal(set.has(one), plain.has(one));
    }),
    { numRuns: 60 },
  );
});

test('it grows with its numbers, and answers for none that is too long or negative', () => {
  const set = new SerialSet();
  const put = Array.from({ length: 5000 }, newSerial);
  for (const one of put) set.add(one);
  assert.equal(set.size, 5000);
  assert.ok(put.every((one) => set.has(one)));
  assert.ok(Array.from({ length: 5000 }, newSerial).every((one) => !set.has(one)));
  for (const strange of [`00${put[0]}`, '-0a', '', 'zz', '00'])
    assert.equal(set.has(strange as Serial), false, strange);
});
