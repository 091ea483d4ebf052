import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FactorTree } from '../goodkey/factor-tree.ts';
import { bitLength, gcd } from '../goodkey/gcd.ts';
import { Reduction } from '../goodkey/reduction.ts';

const euclid = (a: bigint, b: bigint): bigint => (b === 0n ? a : euclid(b, a % b));
const positive = (bits: number) => fc.bigInt({ min: 1n, max: (1n << BigInt(bits)) - 1n });

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
