import assert from 'node:assert/strict';
import { generatePrimeSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { gcd } from '../goodkey/gcd.ts';
import { checkModuli, type KnownGroup, MOST_PARTNERS } from '../goodkey/moduli-check.ts';
import { distinctPrimes, soundModuli } from './distinct-primes.ts';

const PRIMES = Array.from({ length: 16 }, () => generatePrimeSync(96, { bigint: true }));
const prime = (index: number): bigint => PRIMES[index] ?? 1n;

/** Looks at a fleet group by group, as it grows; the pairs by their places in the whole. */
function check(fleet: readonly bigint[], size: number): [number, number][] {
  const known: (KnownGroup & { from: number })[] = [];
  const pairs: [number, number][] = [];
  for (let from = 0; from < fleet.length; from += size) {
    const fresh = fleet.slice(from, from + size);
    const found = checkModuli(fresh, known);
    for (const { index, other, factor } of found.pairs) {
      const second = other.group === undefined ? from + other.index : (known[other.group]?.from ?? 0) + other.index;
      pairs.push([from + index, second]);
      assert.equal(gcd(fleet[from + index] ?? 1n, fleet[second] ?? 1n), factor);
    }
    known.push({ from, product: () => found.product, moduli: () => fresh });
  }
  return pairs;
}

test('TEST-KEY-19 whatever the order and the groups, each key of a fleet that shares a factor is named with its partner', () => {
  const modulus = fc.tuple(fc.nat(15), fc.nat(15)).map(([a, b]) => prime(a) * prime(b));
  fc.assert(
    fc.property(fc.array(modulus, { maxLength: 20 }), fc.integer({ min: 1, max: 9 }), (fleet, size) => {
      const pairs = check(fleet, size);
      for (const [one, two] of pairs) assert.ok(two < one);
      fleet.forEach((n, later) => {
        const all = fleet.flatMap((m, earlier) => (earlier < later && gcd(n, m) > 1n ? [earlier] : []));
        const named = pairs.filter(([one]) => one === later).map(([, two]) => two);
        if (all.length <= MOST_PARTNERS)
          assert.deepEqual(
            named.sort((a, b) => a - b),
            all,
          );
        else assert.equal(named.length, MOST_PARTNERS);
      });
    }),
  );
});

test('TEST-KEY-19 of 10,000 keys in which some share a factor all of those are found, and no other', () => {
  const source = soundModuli(512);
  const fleet = Array.from({ length: 10_000 }, () => source.next().value as bigint);
  // Primes that no modulus has: three pairs far apart, one within a group, and one key that is there twice.
  const [p, q, r, s] = [...take(distinctPrimes(2 ** 45), 4)].map(BigInt) as [bigint, bigint, bigint, bigint];
  const seeded: [number, number, bigint][] = [
    [17, 9_998, p],
    [4_095, 4_096, q],
    [1, 5_000, r],
    [7_001, 7_000, s],
  ];
  for (const [one, two, factor] of seeded) for (const place of [one, two]) fleet[place] = (fleet[place] ?? 1n) * factor;
  fleet[2_500] = fleet[8_800] ?? 1n;
  const expected = [...seeded.map(([a, b]) => [Math.max(a, b), Math.min(a, b)] as const), [8_800, 2_500] as const];
  const found = check(fleet, 2_048);
  assert.deepEqual(
    found.toSorted(([a], [b]) => a - b),
    expected.toSorted(([a], [b]) => a - b).map((pair) => [...pair]),
  );
});

test('no new keys are no work, and a single one is compared with all', () => {
  assert.deepEqual(checkModuli([], []), { product: 1n, pairs: [] });
  const group = { product: () => prime(0) * prime(1) * prime(2), moduli: () => [prime(0) * prime(1), prime(2)] };
  const { pairs } = checkModuli([prime(1) * prime(5)], [group]);
  assert.deepEqual(pairs, [{ index: 0, other: { group: 0, index: 0 }, factor: prime(1) }]);
});

function* take<T>(from: Iterable<T>, count: number): Generator<T> {
  let left = count;
  for (const one of from) {
    yield one;
    left -= 1;
    if (left === 0) return;
  }
}
