import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { Nonces } from '../nonces.ts';

const isBad = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'acme.bad-nonce';

test('a nonce is good once, in whatever order they come back', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(63), { maxLength: 200 }), (order) => {
      const nonces = new Nonces(64);
      const out = Array.from({ length: 64 }, () => nonces.issue());
      assert.equal(new Set(out).size, 64);
      const used = new Set<number>();
      for (const at of order) {
        if (used.has(at)) assert.throws(() => nonces.use(out[at]), isBad);
        else nonces.use(out[at]);
        used.add(at);
      }
      nonces.close();
    }),
    { numRuns: 100 },
  );
});

test('one that is older than the window is forgotten, and its place does not make it good again', () => {
  const nonces = new Nonces(16);
  const [first, ...rest] = Array.from({ length: 17 }, () => nonces.issue());
  assert.throws(() => nonces.use(first), isBad);
  for (const one of rest) nonces.use(one);
  for (let i = 0; i < 40; i += 1) nonces.issue();
  for (const one of rest) assert.throws(() => nonces.use(one), isBad);
});

test('none, a foreign one, a changed one and one of another start are bad', () => {
  const [nonces, other] = [new Nonces(16), new Nonces(16)];
  const good = nonces.issue();
  for (const bad of [undefined, '', 'AAAA', other.issue(), `${good.slice(0, -1)}${good.endsWith('A') ? 'B' : 'A'}`]) {
    assert.throws(() => nonces.use(bad), isBad, bad);
  }
  nonces.use(good);
});
