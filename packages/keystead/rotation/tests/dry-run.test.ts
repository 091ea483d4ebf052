import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DeviceFacts, type Question, standingOf } from '../dry-run.ts';
import { CAMPAIGN_KINDS } from '../kinds.ts';
import { type PlanDraft, planOf } from '../plan.ts';

const DAY = 86_400_000;
const NOW = 1000 * DAY;
const OLD = 'a'.repeat(64);
const NEXT = 'b'.repeat(64);
const BACKUP = 'c'.repeat(64);
const TARGETS = {
  'device-credentials': 'ldevid',
  'issuing-ca': 'operational',
  root: 'root',
  'server-keys': 'gateway',
  'firmware-keys': 'ks-pump-1',
  algorithm: 'ldevid',
} as const;

const plan = (kind: PlanDraft['kind'], more: Partial<PlanDraft> = {}) =>
  planOf({
    ...{ v: 1, id: 'spring', kind, target: TARGETS[kind], reason: 'a test' },
    ...(kind === 'algorithm' ? { algorithm: 'ML-DSA-65', firmware: { 'KS-PUMP-1': 7 } } : {}),
    ...(TARGETS[kind] === 'ldevid' || kind === 'issuing-ca' ? {} : { old: OLD, next: NEXT, backup: BACKUP }),
    ...more,
  });
const credential = (more: Partial<NonNullable<DeviceFacts['credential']>> = {}) => ({
  ...{ issuer: 'operational', notBefore: NOW - 10 * DAY, notAfter: NOW + 80 * DAY, issuedAt: NOW - 10 * DAY },
  algorithm: 'P-256',
  ...more,
});
const device = (more: Partial<DeviceFacts> = {}): DeviceFacts => ({
  ...{ deviceId: 'KS-1', model: 'KS-PUMP-1', enrolled: true, credential: credential(), idevidIssuer: 'manufacturing' },
  uptake: { bundle: { version: 3, sha256: OLD }, securityCounter: 9, reportedAt: NOW - DAY },
  lastSeen: NOW - DAY,
  ...more,
});
const question = (more: Partial<Question> = {}): Question => ({
  ...{ now: NOW, startedAt: undefined, retireAt: NOW + 90 * DAY, of: 'forecast' },
  knows: ({ version }) => (version > 9 ? undefined : version >= 4),
  ...more,
});
const why = (
  kind: PlanDraft['kind'],
  facts: DeviceFacts,
  asked: Partial<Question> = {},
  more: Partial<PlanDraft> = {},
) => {
  const standing = standingOf(plan(kind, more), facts, question(asked));
  return standing.standing === 'cut-off' ? standing.why : standing.standing;
};

test('TEST-KEY-15 a device that renews before the retirement is expected to move; one that renews after it, or was not heard of, is cut off', () => {
  for (const kind of ['device-credentials', 'issuing-ca'] as const) {
    assert.equal(why(kind, device()), 'expected');
    const long = credential({ notAfter: NOW + 400 * DAY });
    assert.deepEqual(why(kind, device({ credential: long })), ['renews-too-late']);
    assert.deepEqual(why(kind, device({ credential: long, lastSeen: NOW - 31 * DAY })), ['not-seen']);
    assert.equal(why(kind, device({ lastSeen: NOW - 31 * DAY })), 'unaffected', 'its certificate ends by itself');
    assert.equal(why(kind, device({ credential: undefined })), 'unaffected');
    assert.deepEqual(why(kind, device(), { of: 'now' }), ['on-the-old']);
  }
  assert.equal(
    why('issuing-ca', device({ credential: credential({ issuer: 'operational.2' }) }), { of: 'now' }),
    'moved',
  );
  assert.equal(why('device-credentials', device(), { of: 'now', startedAt: NOW - 20 * DAY }), 'moved');
});

test('a CA that certified IDevIDs cannot be retired without the devices that have them', () => {
  const asked = { of: 'now' as const };
  assert.deepEqual(why('issuing-ca', device({ idevidIssuer: 'manufacturing' }), asked, { target: 'manufacturing' }), [
    'idevid-by-the-old',
  ]);
});

test('TEST-KEY-15 after a compromise a device counts as back only with a certificate that can be used', () => {
  const emergency = { emergency: true };
  const gone = device({ credential: undefined });
  assert.deepEqual(why('issuing-ca', gone, { of: 'now' }, emergency), ['no-credential']);
  assert.equal(why('issuing-ca', { ...gone, enrolled: false }, { of: 'now' }, emergency), 'unaffected');
});

test('a new algorithm cuts off what has firmware that is too old, unknown, or of a product that nobody named', () => {
  const uptake = { bundle: undefined, securityCounter: 6, reportedAt: NOW };
  assert.equal(why('algorithm', device()), 'expected');
  assert.deepEqual(why('algorithm', device({ uptake })), ['firmware-too-old']);
  assert.deepEqual(why('algorithm', device({ uptake: undefined })), ['firmware-unknown']);
  assert.deepEqual(why('algorithm', device({ model: '__proto__' })), ['product-unsupported']);
  assert.deepEqual(why('algorithm', device({ credential: undefined, uptake: undefined })), ['firmware-unknown']);
  assert.equal(
    why('algorithm', device({ credential: credential({ algorithm: 'ML-DSA-65' }) }), { of: 'now' }),
    'moved',
  );
});

test('TEST-KEY-16 with roots, pins and firmware keys a device counts by the bundle that it reports, and one that never did is cut off', () => {
  for (const kind of ['root', 'server-keys', 'firmware-keys'] as const) {
    const with_ = (version: number) =>
      device({ uptake: { bundle: { version, sha256: OLD }, securityCounter: 1, reportedAt: NOW } });
    assert.equal(why(kind, with_(4)), 'moved');
    assert.equal(why(kind, with_(3)), 'expected');
    assert.deepEqual(why(kind, with_(3), { of: 'now' }), ['bundle-older']);
    assert.deepEqual(why(kind, { ...with_(3), lastSeen: 0 }), ['bundle-older', 'not-seen']);
    assert.deepEqual(why(kind, with_(10)), ['bundle-unknown'], 'a bundle that nobody published here');
    assert.deepEqual(why(kind, device({ uptake: undefined })), ['no-uptake']);
  }
});

test('TEST-KEY-15 what is cut off in the forecast is cut off at once too: nothing is expected of anybody then', () => {
  const time = fc.integer({ min: NOW - 400 * DAY, max: NOW + 400 * DAY });
  const facts = fc.record({
    kind: fc.constantFrom(...CAMPAIGN_KINDS),
    ends: time,
    begins: time,
    seen: time,
    counter: fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined }),
    version: fc.option(fc.integer({ min: 1, max: 10 }), { nil: undefined }),
    has: fc.boolean(),
  });
  fc.assert(
    fc.property(facts, ({ kind, ends, begins, seen, counter, version, has }) => {
      const one = device({
        credential: has ? credential({ notAfter: ends, notBefore: Math.min(begins, ends - 1) }) : undefined,
        lastSeen: seen,
        uptake: {
          bundle: version === undefined ? undefined : { version, sha256: OLD },
          securityCounter: counter,
          reportedAt: seen,
        },
      });
      const forecast = standingOf(plan(kind), one, question()).standing;
      const now = standingOf(plan(kind), one, question({ of: 'now' })).standing;
      if (forecast === 'cut-off') assert.equal(now, 'cut-off');
      assert.notEqual(now, 'expected');
    }),
  );
});

test('TEST-KEY-15 a firmware key asks for the firmware of the models that its plan names, and of no other; a server key asks of all', () => {
  const known = { uptake: { bundle: { version: 4, sha256: OLD }, securityCounter: 6, reportedAt: NOW } };
  const firmware = { 'KS-PUMP-1': 7 };
  assert.deepEqual(why('firmware-keys', device(known), { of: 'now' }, { firmware }), ['firmware-too-old']);
  const other = device({ ...known, model: 'KS-HUB-1' });
  assert.equal(why('firmware-keys', other, { of: 'now' }, { firmware }), 'moved');
  assert.deepEqual(why('server-keys', other, { of: 'now' }, { firmware }), ['product-unsupported']);
  const older = device({
    ...known,
    model: 'constructor',
    uptake: { ...known.uptake, bundle: { version: 3, sha256: OLD } },
  });
  assert.deepEqual(why('firmware-keys', older, { of: 'now' }, { firmware }), ['bundle-older']);
});
