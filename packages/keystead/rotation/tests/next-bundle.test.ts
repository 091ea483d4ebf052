import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toBase64 } from '@keystead/core/bytes';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { checkContent, type StandingJson, standingOfJson, strandedBy } from '@keystead/core/trust';
import fc from 'fast-check';
import { nextBundle } from '../next-bundle.ts';
import { planOf } from '../plan.ts';

const OLD = 'a'.repeat(64);
const NEXT = 'b'.repeat(64);
const BACKUP = 'c'.repeat(64);
const OTHER = 'd'.repeat(64);
const keys = { old: OLD, next: NEXT, backup: BACKUP };
const plan = (kind: 'server-keys' | 'firmware-keys' | 'root') =>
  planOf({
    ...{ v: 1, id: 'spring', kind, reason: 'a test', ...keys },
    target: { 'server-keys': 'gateway', 'firmware-keys': 'ks-pump-1', root: 'root' }[kind],
  });
const pin = (spkiSha256: string, use: 'current' | 'next' | 'backup', from = 0, until = 1000) => ({
  ...{ spkiSha256, use, from, until },
});
const standing = (pins: StandingJson['pins'][number]['keys'], ...signers: string[]): StandingJson => ({
  ...{ anchors: [], signers: [] },
  pins: [
    { role: 'gateway', keys: pins },
    { role: 'other', keys: [pin(OLD, 'current'), pin(OTHER, 'backup')] },
  ],
  firmware: [
    { product: 'ks-pump-1', signers, minimumSecurityCounter: 3 },
    { product: 'ks-pump-2', signers: [OLD], minimumSecurityCounter: 0 },
  ],
});
const refused = (call: () => unknown, code: string) =>
  assert.throws(call, (error: Error) => 'code' in error && error.code === code);

test('TEST-KEY-16 before the switch the new pin stands beside the old one, with a backup that is good as long as the others; at the end the old one is gone; other pins are not touched', () => {
  const before = standing([pin(OLD, 'current'), pin(BACKUP, 'backup', 0, 500)]);
  const added = nextBundle(plan('server-keys'), 'distributing', before, 7);
  assert.deepEqual(added?.pins[0]?.keys, [pin(OLD, 'current'), pin(BACKUP, 'backup'), pin(NEXT, 'next', 7)]);
  assert.deepEqual({ ...added, pins: added?.pins.slice(1) }, { ...before, pins: before.pins.slice(1) });
  assert.equal(nextBundle(plan('server-keys'), 'distributing', added ?? before, 9), undefined, 'it is there');
  assert.equal(nextBundle(plan('server-keys'), 'switched', added ?? before, 9), undefined, 'both stay');
  const moved = nextBundle(plan('server-keys'), 'retiring', added ?? before, 9);
  assert.deepEqual(moved?.pins[0]?.keys, [pin(BACKUP, 'backup'), pin(NEXT, 'current', 7)]);
  assert.equal(nextBundle(plan('server-keys'), 'retiring', moved ?? before, 9), undefined);
});

test('TEST-KEY-16 the key in the safe can be the one that comes: another takes its place there', () => {
  const before = standing([pin(OLD, 'current'), pin(NEXT, 'backup')]);
  const added = nextBundle(plan('server-keys'), 'distributing', before, 7);
  assert.deepEqual(added?.pins[0]?.keys, [pin(OLD, 'current'), pin(NEXT, 'next'), pin(BACKUP, 'backup', 7)]);
});

test('TEST-KEY-15 a firmware key is added beside the others of its product and the old one is taken out at the end; the least counter stays', () => {
  const before = standing([], OLD, OTHER);
  const added = nextBundle(plan('firmware-keys'), 'distributing', before, 7);
  assert.deepEqual(added?.firmware[0], {
    product: 'ks-pump-1',
    signers: [OLD, OTHER, NEXT],
    minimumSecurityCounter: 3,
  });
  const moved = nextBundle(plan('firmware-keys'), 'retiring', added ?? before, 9);
  assert.deepEqual(moved?.firmware[0]?.signers, [OTHER, NEXT]);
  assert.deepEqual(moved?.firmware[1], before.firmware[1]);
  assert.deepEqual(moved?.pins, before.pins);
});

test('what the bundle has not, and what is rotated by no bundle of pins or firmware, is refused by name', () => {
  const none = { ...standing([], OLD), pins: [], firmware: [] };
  refused(() => nextBundle(plan('server-keys'), 'distributing', none, 7), 'rotation.not-ready');
  refused(
    () => nextBundle(plan('server-keys'), 'distributing', standing([pin(OTHER, 'current')]), 7),
    'rotation.not-ready',
  );
  const over = standing([pin(OLD, 'current', 0, 7), pin(OTHER, 'current'), pin(BACKUP, 'backup')]);
  refused(() => nextBundle(plan('server-keys'), 'distributing', over, 7), 'rotation.not-ready');
  refused(() => nextBundle(plan('firmware-keys'), 'distributing', none, 7), 'rotation.not-ready');
  refused(() => nextBundle(plan('root'), 'distributing', none, 7), 'rotation.target');
});

test('TEST-KEY-16 whatever pins stand in a bundle that devices take, they take those of the campaign too, and nobody is stranded by them', () => {
  const key = generateSoftwareKey('P-256');
  const spki = toBase64(softwareSigner('P-256', key.pkcs8).spki);
  key.pkcs8.wipe();
  const AT = 1_000_000;
  const takes = (json: StandingJson): void => {
    const content = { v: 1 as const, fleet: 'pumps', version: 1, issuedAt: AT, expires: AT + 100, filterSha256: null };
    checkContent({ ...content, ...standingOfJson(json) });
  };
  const until = fc.integer({ min: AT - 2, max: AT + 20 });
  const use = fc.constantFrom('current' as const, 'next' as const, 'backup' as const);
  const others = fc.uniqueArray(
    fc.record({ id: fc.constantFrom('b', 'c', 'd', 'e'), use, until, from: fc.constantFrom(0, AT - 5, AT, AT + 5) }),
    {
      selector: ({ id }) => id,
      maxLength: 3,
    },
  );
  fc.assert(
    fc.property(until, others, (end, more) => {
      const pins = [
        pin(OLD, 'current', 0, end),
        ...more.map((one) => pin(one.id.repeat(64), one.use, one.from, one.until)),
      ];
      const before: StandingJson = { ...standing(pins.filter(({ from, until: over }) => from < over)), firmware: [] };
      before.pins.pop();
      before.signers.push({ spki, from: 0, until: AT + 1_000_000 });
      try {
        takes(before);
      } catch {
        return fc.pre(false);
      }
      // The plan names a key of before that is used no more: nothing can be rotated from it.
      fc.pre(end > AT);
      const added = nextBundle(plan('server-keys'), 'distributing', before, AT) ?? before;
      takes(added);
      assert.deepEqual(strandedBy(standingOfJson(before), standingOfJson(added), AT), []);
      const moved = nextBundle(plan('server-keys'), 'retiring', added, AT) ?? added;
      takes(moved);
      assert.deepEqual(strandedBy(standingOfJson(added), standingOfJson(moved), AT), []);
      assert.ok(!moved.pins[0]?.keys.some(({ spkiSha256 }) => spkiSha256 === OLD));
    }),
    {
      examples: [
        // The key that comes stands there as current, from a moment on that has not come.
        [
          AT + 1,
          [
            { id: 'd', use: 'backup', until: AT + 6, from: 0 },
            { id: 'b', use: 'current', until: AT + 6, from: AT + 5 },
          ],
        ],
      ],
    },
  );
});
