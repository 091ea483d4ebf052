import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Coverage } from '../consigned/coverage.ts';
import { ConsignableUnits } from '../consigned/index.ts';
import type { JournalEntry } from '../journal-entry.ts';

const link = (sha256: string, previousSha256: string | null, until?: number) => ({ sha256, previousSha256, until });

test('TEST-KEY-10 in whatever order consignments come, a factory is covered until what its node said with the last one before which none is missing', () => {
  const orders = fc.integer({ min: 1, max: 12 }).chain((count) =>
    fc.shuffledSubarray(
      Array.from({ length: count }, (_, index) => index),
      { minLength: 1 },
    ),
  );
  fc.assert(
    fc.property(orders, (order) => {
      const coverage = new Coverage();
      const come = new Set<number>();
      for (const n of order) {
        coverage.take(link(`c${n}`, n === 0 ? null : `c${n - 1}`, n * 1000));
        come.add(n);
        let whole = 0;
        while (come.has(whole)) whole += 1;
        if (coverage.until !== (whole === 0 ? undefined : (whole - 1) * 1000)) return false;
      }
      return true;
    }),
  );
});

test('TEST-KEY-10 of two histories the one of which less is known decides, and a node that vouches for nothing is covered no further', () => {
  const coverage = new Coverage();
  coverage.take(link('a1', null, 1000));
  coverage.take(link('a2', 'a1', 2000));
  coverage.take(link('a3', 'a2'));
  assert.equal(coverage.until, 2000);
  coverage.take(link('b3', 'b2', 9000));
  assert.deepEqual([coverage.isWhole('b3'), coverage.until], [false, 2000]);
  coverage.take(link('b2', 'a1', 1500));
  assert.deepEqual([coverage.isWhole('b3'), coverage.until], [true, 2000]);
  coverage.take(link('c2', 'a1', 1200));
  assert.equal(coverage.until, 1200);
  const silent = new Coverage();
  silent.take(link('a1', null));
  assert.equal(silent.until, undefined);
});

const at = (second: number) => new Date(Date.UTC(2027, 0, 1, 0, 0, second));

/** A node's journal in memory. */
function unitsOf(entries: readonly object[], underWay: ReadonlySet<string> = new Set()): ConsignableUnits {
  const all = entries.map((entry, index) => ({ n: index + 1, ...entry }) as JournalEntry);
  const read = (from: number) => ({ entries: all.slice(from), next: all.length, end: true });
  return new ConsignableUnits(read, (requestId) => underWay.has(requestId));
}
const certificate = (id: string, second: number) => ({
  ...{
    kind: 'certificate',
    serial: `4${id}`,
    subject: id,
    spkiSha256: 'aa',
    requestId: id,
    time: at(second).toISOString(),
  },
  ticket: { id: 'batch', sha256: 'bb', quota: 9 },
});

test('TEST-KEY-10 a node vouches for nothing that is under way, and for nothing that a recount may have cost its journal', () => {
  const vouched = (units: ConsignableUnits, now = at(60)) => {
    const gathered = units.gather();
    assert.ok(gathered);
    return [gathered.units.length, units.completeUntil(gathered, now).getTime()];
  };
  const made = [certificate('a1', 1), certificate('a2', 5), certificate('a3', 3)];
  assert.deepEqual(vouched(unitsOf(made)), [3, at(60).getTime() - 1]);
  // The second one is being made: it is not told yet, nor the third one, which began before it.
  assert.deepEqual(vouched(unitsOf(made, new Set(['a2']))), [1, at(3).getTime() - 1]);
  const recount = { kind: 'recount', time: at(30).toISOString() };
  assert.deepEqual(vouched(unitsOf([...made, recount, certificate('a4', 40)])), [4, at(5).getTime() - 1]);
});
