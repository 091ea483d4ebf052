import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromBase64, toBase64 } from '@keystead/core/bytes';
import { proposeRoot, readRole, requireThreshold, type TufRoot } from '@keystead/core/firmware';
import { signKeyOrder } from '@keystead/core/lifecycle';
import fc from 'fast-check';
import { readJournal } from 'keystead/keyd/read-journal.ts';
import { type HostileFrontEnd, makeKey } from 'keystead/keyd/tests/bed.ts';
import { signedMetadata, TUF_REPOSITORY, TufBed } from 'keystead/keyd/tests/tuf-bed.ts';

/** A front end that was taken over has the channel to keyd, and everything that people ever signed. */
const DAY = 86_400;
/** Signs targets from the second root on. */
const next = makeKey();
let bed: TufBed;
let front: HostileFrontEnd;
before(async () => {
  bed = await TufBed.make();
  front = await bed.keyd.hostile();
});
after(async () => {
  front.end();
  await bed.remove();
});

const entries = () => readJournal(join(bed.keyd.dir, 'journal')).entries.filter(({ kind }) => kind.startsWith('tuf-'));
const asked = (roots: readonly Uint8Array[], targets: Uint8Array, more: object = {}) => ({
  repository: TUF_REPOSITORY,
  roots: roots.map(toBase64),
  targets: toBase64(targets),
  requestId: 'attack',
  ...more,
});

/** Keyd refuses it with this code, signs nothing, and goes by what it went by before. */
async function refused(code: string, params: Record<string, unknown>): Promise<void> {
  const before = entries().length;
  const { repositories } = await bed.keyd.client.tufRepositories();
  const { error } = await front.ask('signTufStatus', params);
  assert.equal(error?.code, code, error?.message);
  assert.equal(entries().length, before);
  assert.deepEqual((await bed.keyd.client.tufRepositories()).repositories, repositories);
}

interface Status {
  readonly root: number;
  readonly targets: number;
  readonly snapshot: { readonly version: number; readonly bytes: string };
  readonly timestamp: { readonly version: number; readonly bytes: string };
  readonly until: string;
}
async function done(params: Record<string, unknown>): Promise<Status> {
  const { ok, error } = await front.ask('signTufStatus', params);
  assert.equal(error, undefined);
  return ok as Status;
}

test('TEST-KEY-13 before a quorum has named the first root keyd signs for nobody, and then for that very file alone', async () => {
  const targets = await bed.targets(1);
  await refused('tuf.root-unknown', asked([bed.first], targets));
  await bed.rooted();
  await refused('tuf.root-unknown', asked([], targets));
  // A root of the attacker's own, which names the online key: everything that it vouches for would carry its signature.
  const mine = makeKey();
  const own = { ...(bed.firstRoot as TufRoot) };
  const online = await bed.onlineSpki('pump-online-1');
  const now = bed.keyd.clock.now();
  const one = (key: { spki: typeof online }) => ({ keys: [key.spki], threshold: 1 });
  const theirs = proposeRoot(
    undefined,
    { root: one(mine), targets: one(makeKey()), snapshot: one({ spki: online }), timestamp: one({ spki: online }) },
    { expires: new Date(Date.parse(own.expires)), now },
  );
  await refused('tuf.root-unknown', asked([await signedMetadata(theirs, mine)], targets));
  // The same content in another file is another file.
  await refused('tuf.root-unknown', asked([await signedMetadata(own, ...bed.root)], targets));
  await refused('tuf.not-in-policy', asked([bed.first], targets, { repository: 'lamp' }));
  await refused('firmware.malformed', asked([targets], targets));
  await refused('firmware.malformed', asked([bed.first], bed.first));
});

test('TEST-KEY-13 it has no say in versions, times, hashes or the form of what is signed', async () => {
  const targets = await bed.targets(1);
  for (const more of [
    { version: 9 },
    { expires: '2099-01-01T00:00:00Z' },
    { now: '2020-01-01T00:00:00Z' },
    { snapshot: toBase64(targets) },
    { timestamp: toBase64(targets) },
    { key: 'pump-online-1' },
    { bytes: 'AA==' },
  ])
    await refused('request.malformed', asked([bed.first], targets, more));
  const { root, snapshot, timestamp, until } = await done(asked([bed.first], targets));
  assert.deepEqual([root, snapshot.version, timestamp.version], [1, 1, 1]);
  assert.equal(Date.parse(until), bed.keyd.clock.now().getTime() + DAY * 1000);
  for (const [role, { bytes }] of Object.entries({ snapshot, timestamp }))
    requireThreshold(readRole(role as 'snapshot', fromBase64(bytes)), bed.firstRoot as TufRoot, role as 'snapshot');
});

test('TEST-KEY-13 targets of too few or of strangers, older ones, and two contents of one version are not put in force', async () => {
  await done(asked([], await bed.targets(2, 'the second')));
  await refused('firmware.tuf-version', asked([], await bed.targets(1)));
  await refused('firmware.tuf-version', asked([], await bed.targets(2, 'another second')));
  await refused('firmware.tuf-threshold', asked([], await bed.targets(3, 'mine', makeKey())));
  await refused('firmware.tuf-expired', asked([], await bed.targets(3, 'old', bed.targetsKey, -1)));
});

test('TEST-KEY-13 who asks without end has one answer, and fills no journal; who asks at once has it too', async () => {
  const targets = await bed.targets(4);
  const answers = await Promise.all(Array.from({ length: 20 }, () => done(asked([bed.first], targets))));
  assert.equal(new Set(answers.map((one) => JSON.stringify(one))).size, 1);
  const before = entries().length;
  for (let times = 0; times < 20; times += 1) await done(asked([bed.first], targets));
  assert.equal(entries().length, before);
  bed.keyd.clock.advance(DAY / 2 + 1);
  const renewed = await done(asked([], targets));
  assert.equal(renewed.timestamp.version, (answers[0]?.timestamp.version ?? 0) + 1);
  assert.equal(renewed.snapshot.version, answers[0]?.snapshot.version);
  assert.equal(entries().length, before + 1);
});

test('TEST-KEY-13 whatever is changed in what people signed, it has a status of what they signed or none', async () => {
  const targets = await bed.targets(5);
  const first = await done(asked([], targets));
  const before = entries().length;
  const mutate = fc.record({ where: fc.nat(100_000), bit: fc.nat(7), root: fc.boolean() });
  for (const { where, bit, root } of fc.sample(mutate, { numRuns: 200, seed: 47 })) {
    const text = Buffer.from(root ? bed.first : targets);
    const at = where % text.length;
    text[at] = (text[at] ?? 0) ^ (1 << bit);
    const params = root ? asked([text], targets) : asked([], text);
    const { ok, error } = await front.ask('signTufStatus', params);
    assert.notEqual(error?.code, 'internal.unexpected');
    if (ok !== undefined) assert.equal(JSON.stringify(ok), JSON.stringify(first));
  }
  assert.equal(entries().length, before);
});

test('TEST-KEY-13 withholding what is new holds clients no longer than the targets are good for, also over restarts and by a clock that is set back', async () => {
  const targets = await bed.targets(6, 'short', bed.targetsKey, 3);
  const status = await done(asked([], targets));
  await bed.keyd.restart();
  front = await bed.keyd.hostile();
  const again = await done(asked([], targets));
  assert.equal(JSON.stringify(again), JSON.stringify(status));
  await refused('firmware.tuf-version', asked([], await bed.targets(5)));
  bed.keyd.clock.advance(-3600);
  await refusedByClock(asked([], targets));
  bed.keyd.clock.advance(3600);
  // It may ask each day, until the targets end; then nobody has another timestamp of them.
  for (let day = 1; day < 3; day += 1) {
    bed.keyd.clock.advance(DAY);
    await done(asked([], targets));
  }
  bed.keyd.clock.advance(DAY);
  await refused('firmware.tuf-expired', asked([], targets));
});

async function refusedByClock(params: Record<string, unknown>): Promise<void> {
  const { error } = await front.ask('signTufStatus', params);
  assert.equal(error?.code, 'clock.went-back');
}

test('TEST-KEY-13 a root that has been followed by another counts no more, and none is skipped or of strangers', async () => {
  const online = await bed.onlineSpki('pump-online-1');
  const first = bed.firstRoot as TufRoot;
  const root2 = await bed.rootOf([online], { previous: first, targets: next });
  const root3 = await bed.rootOf([online], { previous: root2, targets: next });
  const [second, third] = [
    await signedMetadata(root2, ...bed.root.slice(0, 2)),
    await signedMetadata(root3, ...bed.root),
  ];
  const targets = await bed.targets(7, 'by the next key', next);
  await refused('firmware.tuf-version', asked([third], targets));
  await refused('firmware.tuf-threshold', asked([await signedMetadata(root2, ...bed.root.slice(0, 1))], targets));
  await refused('firmware.tuf-threshold', asked([await signedMetadata(root2, makeKey(), makeKey())], targets));
  // A root with targets that it does not accept takes neither.
  await refused('firmware.tuf-threshold', asked([second], await bed.targets(7)));
  assert.equal((await done(asked([second], targets))).root, 2);
  await refused('firmware.tuf-threshold', asked([bed.first], await bed.targets(8)));
  // It brings the old one as if it were new.
  const other = await bed.rootOf([online], { previous: root2, targets: bed.targetsKey });
  await refused('firmware.tuf-threshold', asked([await signedMetadata(other, makeKey())], await bed.targets(8)));
});

test('TEST-KEY-13 a key that operators stopped signs no status, and a policy that forgets the repository, or names another first root, ends it', async () => {
  const targets = await bed.targets(9, 'later', next);
  const { keys } = await bed.keyd.client.keys();
  const held = keys.find(({ id }) => id === 'tuf-pump-online-1');
  assert.equal(held?.purpose, 'tuf-online');
  await bed.rooted('0'.repeat(64));
  await refused('tuf.root-unknown', asked([], targets));
  await bed.rooted();
  assert.ok(held !== undefined);
  const at = bed.keyd.clock.now();
  const draft = { spkiSha256: held.spkiSha256, change: 'compromise', after: 0, reason: 'a drill', at } as const;
  const order = await signKeyOrder(draft, 'olga', bed.parties.signer('olga'));
  await bed.keyd.client.changeKey({ order, requestId: 'stop' });
  const before = entries().length;
  const { error } = await front.ask('signTufStatus', asked([], targets));
  assert.equal(error?.code, 'key.use-forbidden');
  assert.equal(entries().length, before);
  await bed.policy((policy) => void Reflect.deleteProperty(policy, 'tuf'));
  const { error: forgotten } = await front.ask('signTufStatus', asked([], targets));
  assert.equal(forgotten?.code, 'tuf.not-in-policy');
});
