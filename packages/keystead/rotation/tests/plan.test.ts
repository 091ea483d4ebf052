import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodedPlan, type PlanDraft, planOf, ringNames } from '../plan.ts';
import { ringOf, verdictOf } from '../rings.ts';

const HEX = (digit: string): string => digit.repeat(64);
const CA: PlanDraft = { v: 1, id: 'spring', kind: 'issuing-ca', target: 'operational', reason: 'a test' };
const PINS: PlanDraft = {
  ...CA,
  kind: 'server-keys',
  target: 'gateway',
  old: HEX('a'),
  next: HEX('b'),
  backup: HEX('c'),
};

test('TEST-KEY-16 a rotation of server keys without a backup pin is refused, also where the backup is one of the two', () => {
  planOf(PINS);
  for (const backup of [undefined, HEX('a'), HEX('b')]) {
    assert.throws(() => planOf({ ...PINS, backup }), { code: 'rotation.backup-pin', field: 'backup' });
  }
});

test('a plan that lacks what its kind needs is refused with the field', () => {
  const refused: readonly (readonly [unknown, string, string])[] = [
    [{ ...CA, target: 'nobody' }, 'rotation.target', 'target'],
    [{ ...CA, kind: 'root' }, 'rotation.target', 'target'],
    [{ ...PINS, next: undefined }, 'rotation.malformed', 'next'],
    [{ ...PINS, next: HEX('a') }, 'rotation.malformed', 'next'],
    [{ ...PINS, old: 'abc' }, 'rotation.malformed', 'old'],
    [{ ...CA, kind: 'algorithm', target: 'ldevid' }, 'rotation.malformed', 'algorithm'],
    [{ ...CA, kind: 'algorithm', target: 'ldevid', algorithm: 'ML-DSA-65' }, 'rotation.malformed', 'firmware'],
    [{ ...PINS, emergency: true }, 'rotation.malformed', 'emergency'],
    [{ ...CA, rings: [{ name: 'rest', share: 0.5 }] }, 'rotation.malformed', 'rings'],
    [
      {
        ...CA,
        rings: [
          { name: 'a', share: 0.5 },
          { name: 'a', share: 0.1 },
        ],
      },
      'rotation.malformed',
      'rings',
    ],
    [{ ...CA, rings: [{ name: 'a', share: 1.5 }] }, 'rotation.malformed', 'rings[0].share'],
    [{ ...CA, uptakeShare: 0 }, 'rotation.malformed', 'uptakeShare'],
    [{ ...CA, more: 1 }, 'rotation.malformed', 'more'],
    [null, 'rotation.malformed', 'plan'],
  ];
  for (const [value, code, field] of refused) {
    const thrown = (() => {
      try {
        planOf(value);
      } catch (error) {
        return error as { code: string; field: string };
      }
      return undefined;
    })();
    assert.equal(thrown?.code, code, JSON.stringify(value));
    assert.equal(thrown?.field, field, JSON.stringify(value));
  }
});

test('one plan has one hash, and another word of it another', () => {
  const { text, sha256 } = encodedPlan(planOf(CA));
  assert.equal(encodedPlan(planOf(JSON.parse(text))).sha256, sha256);
  assert.notEqual(encodedPlan(planOf({ ...CA, mostFailures: 1 })).sha256, sha256);
});

test('each device is in one ring, the same each time: the first whose list, product, batch or share takes it', () => {
  const rings: NonNullable<PlanDraft['rings']> = [
    { name: 'bench', devices: ['KS-1'] },
    { name: 'lab', batches: ['b-1'] },
    { name: 'pumps', products: ['KS-PUMP-1'] },
    { name: 'tenth', share: 0.1 },
    { name: 'half', share: 0.4 },
  ];
  const plan = planOf({ ...CA, rings });
  const at = (deviceId: string, model = 'KS-X', batch = 'b-9') => ringOf(plan, { deviceId, model, batch });
  assert.deepEqual(
    [at('KS-1', 'KS-PUMP-1', 'b-1'), at('KS-2', 'KS-PUMP-1', 'b-1'), at('KS-2', 'KS-PUMP-1')],
    [1, 2, 3],
  );
  const counts = new Map<number, number>();
  for (let n = 0; n < 4000; n += 1) counts.set(at(`X-${n}`), (counts.get(at(`X-${n}`)) ?? 0) + 1);
  const parts = [4, 5, 6].map((ring) => (counts.get(ring) ?? 0) / 4000);
  for (const [index, part] of [0.1, 0.4, 0.5].entries())
    assert.ok(Math.abs((parts[index] ?? 0) - part) < 0.04, `${parts}`);
  assert.equal(ringNames(plan).length, 6);
  fc.assert(
    fc.property(fc.string(), fc.string(), (deviceId, batch) => {
      const ring = at(deviceId, 'KS-X', batch);
      assert.ok(ring >= 1 && ring <= 6);
      assert.equal(at(deviceId, 'KS-X', batch), ring);
    }),
  );
});

test('a ring has moved when enough devices have, has failed with one failure more than may be, and an empty one has moved', () => {
  const plan = planOf({ ...CA, uptakeShare: 0.9, mostFailures: 2 });
  const verdict = (devices: number, done: number, failed: number, lost = 0, emergency = false) =>
    verdictOf({ ...plan, emergency }, { devices, done, failed, lost }).verdict;
  assert.equal(verdict(0, 0, 0), 'moved');
  assert.equal(verdictOf(plan, undefined).verdict, 'moved');
  assert.deepEqual([verdict(10, 8, 2), verdict(10, 9, 1), verdict(10, 9, 3)], ['waits', 'moved', 'failed']);
  // Nobody is left of it: it shows nothing, where a part of it has moved it does.
  assert.deepEqual([verdict(0, 0, 0, 5), verdict(1, 1, 0, 5), verdict(0, 0, 0, 5, true)], ['nobody', 'moved', 'moved']);
});
