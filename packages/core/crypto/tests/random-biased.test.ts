import assert from 'node:assert/strict';
import nodeCrypto from 'node:crypto';
import { mock, test } from 'node:test';
import { generateSoftwareKey, randomBytes } from '../index.ts';

// In a file of its own: a generator that failed stays failed for the rest of the process.
test('TEST-KEY-01: a generator that is biased at start generates nothing, not even once', () => {
  const real = nodeCrypto.randomBytes.bind(nodeCrypto);
  // One byte in sixteen is zero, the rest is as it should be: no repetition, only a bias.
  mock.method(nodeCrypto, 'randomBytes', (length: number) =>
    real(length).map((byte, at) => (at % 16 === 0 ? 0 : byte)),
  );
  for (let attempt = 0; attempt < 3; attempt += 1) {
    assert.throws(() => generateSoftwareKey('P-256'), { code: 'rng.unhealthy', seen: 'failed: adaptive proportion' });
    assert.throws(() => randomBytes(1), { code: 'rng.unhealthy' });
  }
  mock.restoreAll();
  assert.throws(() => randomBytes(1), { code: 'rng.unhealthy' });
});
