import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { HealthTest, proportionCutoff, repetitionCutoff } from '../health.ts';
import { RandomSource, randomBytes } from '../index.ts';

const healthy = { bitsPerSample: 8, alphaBits: 40 };

/** The smallest cutoff by exact integers: 1 + the least k with P(X > k) <= 2^-alpha for X ~ B(512, 2^-H). */
function exactCutoff(bitsPerSample: number, alphaBits: number): number {
  const n = 512n;
  const q = 2n ** BigInt(bitsPerSample);
  const total = q ** n;
  let choose = 1n;
  let tail = 0n;
  for (let k = n; k > 0n; k -= 1n) {
    tail += choose * (q - 1n) ** (n - k);
    if (tail << BigInt(alphaBits) > total) return Number(k) + 1;
    choose = (choose * k) / (n - k + 1n);
  }
  return 1;
}

test('the repetition cutoff is 1 + ceil(alpha / H) of SP 800-90B section 4.4.1', () => {
  assert.equal(repetitionCutoff({ bitsPerSample: 2, alphaBits: 20 }), 11);
  assert.equal(repetitionCutoff({ bitsPerSample: 7.3, alphaBits: 20 }), 4);
  assert.equal(repetitionCutoff(healthy), 6);
});

test('the proportion cutoff agrees with the binomial distribution in exact integers', () => {
  for (const bitsPerSample of [1, 2, 3, 4, 6, 8]) {
    for (const alphaBits of [20, 30, 40]) {
      const cutoff = proportionCutoff({ bitsPerSample, alphaBits });
      assert.equal(cutoff, exactCutoff(bitsPerSample, alphaBits), `H=${bitsPerSample} alpha=${alphaBits}`);
    }
  }
});

test('a megabyte of the real generator passes', () => {
  const health = new HealthTest(healthy);
  assert.equal(health.feed(randomBytes(2 ** 20)), true);
  assert.equal(health.failure, undefined);
});

test('TEST-KEY-01: a stuck source fails the repetition count after six samples and stays failed', () => {
  const health = new HealthTest(healthy);
  assert.equal(health.feed(new Uint8Array(5).fill(0xaa)), true);
  assert.equal(health.feed(Uint8Array.of(0xaa)), false);
  assert.equal(health.failure, 'repetition count');
  assert.equal(health.feed(randomBytes(64)), false);
});

test('TEST-KEY-01: a source that favours one value in eight fails the adaptive proportion', () => {
  for (const favourite of [0x00, 0x5a, 0xff]) {
    const health = new HealthTest(healthy);
    const biased = randomBytes(2 ** 16).map((byte, at) => (at % 8 === 0 ? favourite : byte));
    assert.equal(health.feed(biased), false);
    assert.equal(health.failure, 'adaptive proportion');
  }
});

test('TEST-KEY-01: raw noise of a device is judged by the entropy that it is said to have', () => {
  const raw = { bitsPerSample: 1, alphaBits: 40 };
  const oneBitAByte = randomBytes(2 ** 14).map((byte) => byte & 1);
  assert.equal(new HealthTest(raw).feed(oneBitAByte), true);
  assert.equal(new HealthTest(healthy).feed(oneBitAByte), false);
  const stuck = new HealthTest(raw);
  assert.equal(stuck.feed(new Uint8Array(41)), false);
});

test('TEST-KEY-01: whatever a stuck, short, repeating or failing source gives, nothing comes out of it', () => {
  const block = randomBytes(32);
  const sources: Record<string, (length: number) => Uint8Array> = {
    stuck: (length) => new Uint8Array(length).fill(7),
    'two values': (length) => randomBytes(length).map((byte) => byte & 1),
    'one value in four': (length) => randomBytes(length).map((byte, at) => (at % 4 === 0 ? 0 : byte)),
    'the same block again': (length) => Uint8Array.from({ length }, (_, at) => block[at % 32] ?? 0),
    short: (length) => randomBytes(length - 1),
    failing: () => {
      throw new Error('no device');
    },
  };
  for (const [name, draw] of Object.entries(sources)) {
    const source = new RandomSource(draw);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      assert.throws(() => source.bytes(16), { code: 'rng.unhealthy' }, name);
      assert.throws(() => source.check(), { code: 'rng.unhealthy' }, name);
    }
  }
});

test('TEST-KEY-01: a source that fails once in service is never used again, and the bad bytes are wiped', () => {
  let drawn: Uint8Array = new Uint8Array();
  let stuck = false;
  const source = new RandomSource((length) => {
    drawn = stuck ? new Uint8Array(length).fill(9) : randomBytes(length);
    return drawn;
  });
  assert.equal(source.bytes(32).length, 32);
  stuck = true;
  assert.throws(() => source.bytes(32), { code: 'rng.unhealthy' });
  assert.deepEqual(drawn, new Uint8Array(32));
  stuck = false;
  assert.throws(() => source.bytes(32), { code: 'rng.unhealthy' });
});

test('samples may come in pieces of any size', () => {
  const stream = fc.uint8Array({ minLength: 1, maxLength: 2000, max: 3 });
  const sizes = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1 });
  fc.assert(
    fc.property(stream, sizes, (samples, pieces) => {
      const whole = new HealthTest({ bitsPerSample: 1.5, alphaBits: 20 });
      const parts = new HealthTest({ bitsPerSample: 1.5, alphaBits: 20 });
      whole.feed(samples);
      for (let at = 0, i = 0; at < samples.length; i += 1) {
        const size = pieces[i % pieces.length] ?? 1;
        parts.feed(samples.subarray(at, at + size));
        at += size;
      }
      assert.equal(parts.failure, whole.failure);
    }),
  );
});
