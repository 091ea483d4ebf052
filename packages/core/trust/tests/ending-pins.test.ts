import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkContent, endingPins, isIn, type PinUse } from '@keystead/core/trust';
import { contentWith, DAY, newRoot, newSigner, pin, SECOND } from './bundle-source.ts';

const BUNDLE = 30 * DAY;
type Key = readonly [name: string, use: PinUse, fromDay: number, untilDay: number];

const pinned = (role: string, ...keys: readonly Key[]) => ({
  role,
  keys: keys.map(([name, use, from, until]) => ({
    ...{ spkiSha256: pin(name), use },
    ...{ from: SECOND + from * DAY, until: SECOND + until * DAY },
  })),
});
const safe = ['safe', 'backup', -1, 400] as const;
const levels = (pins: readonly ReturnType<typeof pinned>[], day: number) =>
  endingPins({ pins: [...pins] }, BUNDLE, SECOND + day * DAY).map(({ role, level }) => [role, level]);

test('TEST-KEY-16 of a pin whose last current key ends people hear two lives of a bundle before, and again one life before, from when on it is overdue', () => {
  const pins = [pinned('update-server', ['now', 'current', -1, 100], safe)];
  assert.deepEqual(levels(pins, 39), []);
  assert.deepEqual(levels(pins, 40), [['update-server', 'due']]);
  const [due] = endingPins({ pins }, BUNDLE, SECOND + 40 * DAY);
  const end = SECOND + 100 * DAY;
  assert.deepEqual([due?.until, due?.lastRefresh, due?.publishBy], [end, end - 1, end - BUNDLE]);
  assert.deepEqual(due?.keys, [pin('now')]);
  const day = (seconds: number) => new Date(seconds * 1000).toISOString();
  for (const told of [day(end), day(end - 1), `by ${day(end - BUNDLE)} publish a content`, 'a backup'])
    assert.ok(due?.why.includes(told), told);
  assert.deepEqual(levels(pins, 69), [['update-server', 'due']]);
  assert.deepEqual(levels(pins, 70), [['update-server', 'overdue']]);
  assert.match(endingPins({ pins }, BUNDLE, SECOND + 70 * DAY)[0]?.why ?? '', /publish .* now/);
  assert.match(endingPins({ pins }, BUNDLE, SECOND + 100 * DAY)[0]?.why ?? '', /signs no bundle .* any more/);
});

test('TEST-KEY-16 the end that is told is the very moment from which no bundle with this content keeps the rules', async () => {
  const [signer, root] = [newSigner(), await newRoot()];
  const signers = [{ spki: signer.spki, from: SECOND - DAY, until: SECOND + 900 * DAY }];
  // A chain, a gap, keys that end together, and one that comes after the gap.
  for (const pins of [
    [pinned('update-server', ['one', 'current', -1, 50], ['two', 'current', 40, 90], safe)],
    [pinned('update-server', ['one', 'current', -1, 50], ['two', 'current', 60, 90], safe)],
    [pinned('update-server', ['one', 'current', -1, 50], ['two', 'current', 0, 50], ['three', 'next', 0, 90], safe)],
    [pinned('update-server', ['one', 'current', -1, 90], safe), pinned('relay', ['r', 'current', -1, 70], safe)],
  ]) {
    const [first] = endingPins({ pins }, 1000 * DAY, SECOND);
    assert.ok(first);
    const content = (issuedAt: number) =>
      contentWith(signer, root, { pins, signers, issuedAt, expires: issuedAt + DAY });
    assert.doesNotThrow(() => checkContent(content(first.lastRefresh)));
    assert.throws(() => checkContent(content(first.lastRefresh + 1)), { code: 'trust-bundle.rule' });
    const { keys } = pins.find(({ role }) => role === first.role) ?? assert.fail();
    assert.deepEqual(
      first.keys,
      keys.filter((key) => key.use === 'current' && isIn(key, first.lastRefresh)).map((key) => key.spkiSha256),
    );
  }
});

test('TEST-KEY-16 a pin that another current key goes on for asks for nothing; of several names each is told, the first to end first, with the end of them all', () => {
  const lasting = pinned('relay', ['old', 'current', -1, 10], ['new', 'current', 5, 300], safe);
  assert.deepEqual(levels([lasting], 9), []);
  const pins = [
    pinned('update-server', ['a', 'current', -1, 40], safe),
    lasting,
    pinned('portal', ['b', 'current', -1, 20], safe),
    pinned('archive', ['c', 'backup', -1, 20]),
  ];
  assert.deepEqual(levels(pins, 0), [
    ['portal', 'overdue'],
    ['update-server', 'due'],
  ]);
  const ending = endingPins({ pins }, BUNDLE, SECOND);
  assert.deepEqual(new Set(ending.map(({ lastRefresh }) => lastRefresh)), new Set([SECOND + 20 * DAY - 1]));
});
