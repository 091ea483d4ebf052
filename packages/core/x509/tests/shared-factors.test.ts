import assert from 'node:assert/strict';
import { generatePrimeSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { FactorTree } from '../goodkey/factor-tree.ts';
import { bitLength, gcd } from '../goodkey/gcd.ts';
import { Reduction } from '../goodkey/reduction.ts';
import { MOST_NAMED, sharedFactors } from '../goodkey/shared-factors.ts';

const euclid = (a: bigint, b: bigint): bigint => (b === 0n ? a : euclid(b, a % b));
const positive = (bits: number) => fc.bigInt({ min: 1n, max: (1n << BigInt(bits)) - 1n });
const PRIMES = Array.from({ length: 60 }, () => generatePrimeSync(128, { bigint: true }));
const prime = (index: number): bigint => PRIMES[index] ?? 1n;

test('the greatest common divisor is that of Euclid, whatever the sizes', () => {
  fc.assert(
    fc.property(positive(40), positive(900), positive(700), (g, a, b) => {
      assert.equal(gcd(g * a, g * b), euclid(g * a, g * b));
    }),
  );
  assert.equal(gcd(0n, 5n), 5n);
  assert.equal(gcd(5n, 0n), 5n);
  const [big, next] = [3n ** 900n, 3n ** 900n - 1n];
  assert.equal(gcd(big, next), 1n);
  assert.equal(gcd(big, big), big);
});

test('the length of a number in bits is that of its binary digits', () => {
  fc.assert(fc.property(positive(600), (n) => assert.equal(bitLength(n), n.toString(2).length)));
  assert.equal(bitLength(0n), 0);
});

test("Barrett's reduction leaves what division leaves", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 2n, max: 1n << 300n }), fc.bigInt({ min: 0n, max: 1n << 600n }), (n, x) => {
      const below = x % (n * n);
      assert.equal(new Reduction(n).reduce(below), below % n);
    }),
  );
});

test('a tree leaves of a number what division by each modulus leaves, also at the ends of the range', () => {
  fc.assert(
    fc.property(
      fc.array(fc.bigInt({ min: 2n, max: 1n << 200n }), { minLength: 1, maxLength: 40 }),
      fc.bigInt({ min: 0n, max: 1n << 9000n }),
      (moduli, x) => {
        const tree = new FactorTree(moduli);
        for (const value of [x, 0n, tree.product - 1n, tree.product, tree.product + 1n]) {
          const left: bigint[] = [];
          tree.remainders(value, (index, remainder) => {
            left[index] = remainder;
          });
          assert.deepEqual(
            left,
            moduli.map((n) => value % n),
          );
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a tree with parts that are grown anew leaves the same', () => {
  const moduli = Array.from({ length: 2500 }, (_, i) => 2n ** 64n + BigInt(2 * i + 1));
  const tree = new FactorTree(moduli);
  const x = 7n ** 60_000n;
  tree.remainders(x, (index, remainder) => assert.equal(remainder, x % (moduli[index] ?? 1n)));
});

test('TEST-KEY-19 shared factors are found in a fleet in which most are sound, in one group and across groups', () => {
  const sound = Array.from({ length: 20 }, (_, i) => prime(2 * i) * prime(2 * i + 1));
  const fleet = [...sound, prime(50) * prime(51), prime(52) * prime(53), prime(50) * prime(54), prime(53) * prime(54)];
  for (const group of [2, 3, 7, 100]) {
    assert.deepEqual(sharedFactors(sound, { group }), []);
    const found = sharedFactors(fleet, { group });
    assert.deepEqual(
      found.map(({ index, with: others }) => [index, others]),
      [
        [20, [22]],
        [21, [23]],
        [22, [20, 23]],
        [23, [21, 22]],
      ],
      `groups of ${group}`,
    );
    assert.deepEqual(
      found.map(({ factor }) => factor),
      [prime(50), prime(53), prime(50) * prime(54), prime(53) * prime(54)],
    );
  }
});

test('the same modulus twice is a shared factor: the whole of it', () => {
  const n = prime(0) * prime(1);
  const found = sharedFactors([n, prime(2) * prime(3), n], { group: 2 });
  assert.deepEqual(found, [
    { index: 0, factor: n, with: [2] },
    { index: 2, factor: n, with: [0] },
  ]);
});

test('of a generator that always draws the same prime only so many are named', () => {
  const fleet = Array.from({ length: 30 }, (_, i) => prime(0) * prime(i + 1));
  const found = sharedFactors(fleet, { group: 8 });
  assert.equal(found.length, 30);
  assert.ok(found.every(({ factor, with: others }) => factor === prime(0) && others.length === MOST_NAMED));
});

test('what is found is what every pair by itself shows', () => {
  const modulus = fc.tuple(fc.nat(14), fc.nat(14)).map(([a, b]) => prime(a) * prime(b));
  fc.assert(
    fc.property(fc.array(modulus, { maxLength: 24 }), fc.integer({ min: 1, max: 9 }), (fleet, group) => {
      const found = new Map(sharedFactors(fleet, { group }).map((one) => [one.index, one]));
      fleet.forEach((n, i) => {
        const others = fleet.flatMap((m, j) => (j !== i && euclid(n, m) > 1n ? [j] : []));
        const one = found.get(i);
        assert.equal(one !== undefined, others.length > 0);
        assert.deepEqual(one?.with ?? [], others.length > MOST_NAMED ? one?.with : others);
        // It divides the modulus, and each partner has part of it.
        assert.ok(one === undefined || (n % one.factor === 0n && one.factor > 1n));
      });
    }),
  );
});
