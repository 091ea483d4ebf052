import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Serial } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import { CRL_REASONS, newSerial, type RevocationReason } from '@keystead/core/x509';
import fc from 'fast-check';
import { RevokedSet } from '../revoked-set.ts';
import { KeydState } from '../state.ts';

const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1) + seconds * 1000);
/** What is to leave the list. */
const NOTHING = { at: at(0).getTime(), endedBy: 0, listedBy: 0, allListedBy: 0 };
const listed = (set: RevokedSet, filter?: Parameters<RevokedSet['entries']>[0]): [string, number, number][] =>
  [...entriesOf(set, filter)].sort();
function* entriesOf(
  set: RevokedSet,
  filter?: Parameters<RevokedSet['entries']>[0],
): Generator<[string, number, number]> {
  for (const { octets, from, length, seconds, reason } of set.entries(filter))
    yield [toHex(octets.subarray(from, from + length)), seconds, reason];
}

test('whatever is listed, taken back and let go in whatever order, the set has what a map would have', () => {
  // Few numbers, so that the same come again; of every length, so that zeros in front are told from zeros within.
  const serial = fc.constantFrom(
    ...Array.from(
      { length: 40 },
      (_, i) => `${(i + 1).toString(16).padStart(2, '0')}${'00ff'.repeat(i % 10)}` as Serial,
    ),
  );
  const reason = fc.constantFrom(
    ...(Object.keys(CRL_REASONS) as RevocationReason[]).filter((one) => CRL_REASONS[one] < 7),
  );
  const step = fc.oneof(
    fc.record({
      op: fc.constant('add' as const),
      ...{ serial, time: fc.nat(1000), listed: fc.nat(1000), reason, since: fc.nat(50) },
    }),
    fc.record({ op: fc.constant('delete' as const), serial }),
    fc.record({ op: fc.constant('forget' as const), time: fc.nat(1000), living: fc.nat(1000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const set = new RevokedSet();
      const model = new Map<string, { time: number; listed: number; reason: RevocationReason; since: number }>();
      for (const one of steps) {
        if (one.op === 'add') {
          // By whatever it is said to have been revoked, it stays for as long as it has been listed.
          const entry = { serial: one.serial, revokedAt: at(one.time), reason: one.reason };
          const fresh = set.add(entry, one.since, at(one.listed).getTime());
          assert.equal(fresh, !model.has(one.serial));
          if (fresh) model.set(one.serial, one);
        } else if (one.op === 'delete') {
          set.delete(one.serial);
          model.delete(one.serial);
        } else {
          // Those that are listed in this very second live still.
          const lives = at(one.living).getTime();
          set.forget(at(one.time).getTime(), (serial, listedAt) => model.has(serial) && listedAt !== lives);
          for (const [key, { listed }] of model) if (listed <= one.time && listed !== one.living) model.delete(key);
        }
        assert.equal(set.size, model.size);
      }
      const expected = (keep: (v: { serial: string; since: number }) => boolean) =>
        [...model]
          .filter(([key, { since }]) => keep({ serial: key, since }))
          .map(([key, v]): [string, number, number] => [key, at(v.time).getTime() / 1000, CRL_REASONS[v.reason]])
          .sort();
      assert.deepEqual(
        listed(set),
        expected(() => true),
      );
      assert.deepEqual(
        listed(set, { after: 25 }),
        expected(({ since }) => since > 25),
      );
      for (const index of [0, 1, 2]) {
        const mine = expected((v) => Number.parseInt(v.serial.slice(-8), 16) % 3 === index);
        assert.deepEqual(listed(set, { shard: { index, of: 3 } }), mine);
      }
    }),
    { numRuns: 300 },
  );
});

test('what has ended is cleared away: a list that lived long is no larger than one that is new', () => {
  const set = new RevokedSet();
  for (let day = 0; day < 30; day += 1) {
    const today = at(day * 86_400);
    for (let i = 0; i < 1000; i += 1) set.add({ serial: newSerial(), revokedAt: today }, day, today.getTime());
    set.forget(at((day - 3) * 86_400).getTime(), () => true);
  }
  assert.equal(set.size, 3000);
  assert.equal(listed(set).length, 3000);
});

test('numbers that no certificate of keyd has are on no list and do no harm', () => {
  const set = new RevokedSet();
  for (const strange of ['-01', 'aa'.repeat(21), '', 'zz', '0']) assert.equal(set.has(strange as Serial), false);
});

test('TEST-KEY-13 a front end can make up a million serial numbers and no more, and those that keyd issued are listed all the same', () => {
  const state = new KeydState();
  const mine = newSerial();
  state.issued.saw('operational', mine);
  const made = (count: number) => Array.from({ length: count }, () => ({ serial: newSerial(), revokedAt: at(0) }));
  const { undo } = state.list('operational', 1, made(5), NOTHING);
  undo();
  state.list('operational', 1, made(3), NOTHING);
  state.lists('operational').sawUnissued(1_000_000 - 3);
  for (const entries of [made(1), [...made(1), { serial: mine, revokedAt: at(0) }]])
    assert.throws(() => state.list('operational', 2, entries, NOTHING), { code: 'revocation.unissued-too-many' });
  assert.equal(state.isRevoked('operational', mine), false, 'nothing of it was listed');
  state.list('operational', 2, [{ serial: mine, revokedAt: at(0) }], NOTHING);
  assert.equal(state.isRevoked('operational', mine), true);
});
