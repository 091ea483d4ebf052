import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { checkpointNote, formatCheckpoint, parseNote, signNote } from '@keystead/core/log';
import fc from 'fast-check';
import { formatLogReport, logReportJson, verifyForkProof, verifyLogFiles } from '../index.ts';
import { changed, entriesOf, frontierOf, rewrite } from './tamper.ts';
import { LogKeys, ORIGIN, promptTimers, World } from './world.ts';

const code =
  (expected: string) =>
  (error: unknown): boolean =>
    error instanceof KeysteadError && error.code === expected;

/** What a keyd that was taken over signs: any entries. */
async function signed(world: World, entries: readonly Uint8Array[], keys = world.keys): Promise<string> {
  const root = frontierOf(entries).root();
  const seconds = Math.floor(world.clock.now().getTime() / 1000);
  return checkpointNote({ origin: ORIGIN, size: entries.length, root }, keys.log, keys.time, seconds);
}

test('two signed checkpoints of one size that differ are proven to be a fork (TEST-KEY-26)', async () => {
  using world = new World();
  await world.publish(5, 7);
  const entries = entriesOf(world);
  const other = await signed(world, entries.with(3, changed(entries[3], { outcome: 'refused' })));
  const report = await world.verifyFiles({ otherCheckpoint: other });
  assert.equal(report.verdict, 'not-proven');
  assert.deepEqual(
    report.findings.map(({ fault }) => fault),
    ['fork'],
  );
  const notes = verifyForkProof(JSON.parse(JSON.stringify(report.fork)), world.keys.keys);
  assert.deepEqual(
    new Set([notes.older.note, notes.newer.note]),
    new Set([other, world.file('checkpoint').toString()]),
  );
});

for (const [size, otherSize] of [
  [300, 1],
  [300, 128],
  [300, 259],
  [300, 299],
] as const) {
  test(`a signed checkpoint of ${otherSize} entries that a later one of ${size} does not begin with is a fork (TEST-KEY-26)`, async () => {
    using world = new World();
    await world.publish(size);
    const entries = entriesOf(world).slice(0, otherSize);
    const at = Math.floor(otherSize / 2);
    const other = await signed(world, entries.with(at, changed(entries[at], { outcome: 'refused' })));
    const report = await world.verify({ otherCheckpoint: [other] });
    assert.deepEqual(
      report.findings.map(({ fault }) => fault),
      ['fork'],
      JSON.stringify(report.findings),
    );
    const { older, newer } = verifyForkProof(JSON.parse(JSON.stringify(report.fork)), world.keys.keys);
    assert.deepEqual([older.note, newer.note], [other, world.file('checkpoint').toString()]);
    // The same proof with another log's keys, or with a changed hash, convicts nobody.
    assert.throws(() => verifyForkProof(report.fork, new LogKeys().keys), code('note.unknown-key'));
    const prefixRoot = Buffer.alloc(32, 1).toString('base64');
    assert.throws(() => verifyForkProof({ ...report.fork, prefixRoot }, world.keys.keys), code('log.proof-invalid'));
  });
}

test('a fork within the archive is proven (TEST-KEY-26)', async () => {
  using world = new World();
  await world.publish(10, 20);
  const archive = world.file('checkpoints').toString();
  const entries = entriesOf(world).slice(0, 15);
  const other = await signed(world, entries.with(2, changed(entries[2], { outcome: 'refused' })));
  const first = archive.indexOf('\n\n', archive.indexOf('\n\n') + 2) + 2;
  world.clock.set(new Date('2026-03-01T12:00:15.000Z'));
  writeFileSync(join(world.dir, 'checkpoints'), `${archive.slice(0, first)}${other}\n${archive.slice(first)}`);
  const report = await world.verify();
  assert.ok(report.fork !== undefined, JSON.stringify(report.findings));
  verifyForkProof(report.fork, world.keys.keys);
});

test('two checkpoints that agree convict nobody, nor does anything that is no proof', async () => {
  using world = new World();
  await world.publish(5, 7);
  const [older, newer] = [await signed(world, entriesOf(world).slice(0, 5)), await signed(world, entriesOf(world))];
  const prefixRoot = Buffer.from(frontierOf(entriesOf(world).slice(0, 5)).root()).toString('base64');
  const format = 'keystead-fork-proof/1';
  const none: unknown[] = [
    { format, older, newer },
    { format, older: newer, newer },
    { format, older, newer, prefixRoot },
  ];
  none.push({ format, older, newer, prefixRoot, consistency: [] }, { format, older: newer, newer: older, prefixRoot });
  none.push(null, 'x', {}, { format, older: 1, newer: 2 });
  for (const proof of none) assert.throws(() => verifyForkProof(proof, world.keys.keys), code('log.proof-invalid'));
  fc.assert(
    fc.property(fc.anything(), (proof) => {
      assert.throws(() => verifyForkProof(proof, world.keys.keys), KeysteadError);
    }),
  );
});

test('a log that is signed by other keys is not proven, whoever says that it is ours (TEST-KEY-26)', async () => {
  using world = new World();
  await world.publish(5, 7);
  const stranger = new LogKeys();
  const report = await verifyLogFiles({ dir: world.dir, vkeys: stranger.vkeys, timers: promptTimers });
  assert.equal(report.verdict, 'not-proven');
  assert.ok(report.findings.every(({ fault }) => fault === 'checkpoint-forged'));
  assert.equal(report.head, undefined);
  // A head that the log did not sign leaves what the archive proves.
  writeFileSync(join(world.dir, 'checkpoint'), await signed(world, entriesOf(world), stranger));
  const forged = await world.verifyFiles();
  assert.deepEqual(
    forged.findings.map(({ fault }) => fault),
    ['checkpoint-forged'],
  );
  assert.deepEqual([forged.head?.size, forged.head?.source], [12, 'the last archived checkpoint']);
  // The log's signature without the time is not enough either.
  const { root } = { root: frontierOf(entriesOf(world)).root() };
  writeFileSync(
    join(world.dir, 'checkpoint'),
    await signNote(formatCheckpoint({ origin: ORIGIN, size: 12, root }), world.keys.log),
  );
  assert.deepEqual(
    (await world.verifyFiles()).findings.map(({ fault }) => fault),
    ['checkpoint-forged'],
  );
});

test('a verifier must be given one key of the log', async () => {
  using world = new World();
  const [log = '', time = ''] = world.keys.vkeys;
  for (const vkeys of [[], [time], [log, log], ['garbage'], [log, time, time]]) {
    await assert.rejects(verifyLogFiles({ dir: world.dir, vkeys }), code('note.key-malformed'));
  }
});

test('whatever stands in place of a file, the answer is a report that it is not proven', async () => {
  for (const path of [
    'checkpoint',
    'checkpoints',
    'tile/0/000',
    'tile/1/000.p/1',
    'tile/entries/000',
    'tile/entries/001.p/44',
  ]) {
    using world = new World();
    await world.publish(100, 200);
    const target = join(world.dir, path);
    const replace: (() => void)[] = [
      () => writeFileSync(target, ''),
      () => writeFileSync(target, '\n\n\n\n'),
      () => writeFileSync(target, Buffer.alloc(200_000, 0xff)),
      () => mkdirSync(target),
      () => symlinkSync('/dev/zero', target),
      () => symlinkSync(target, target),
      () => {},
    ];
    for (const put of replace) {
      rmSync(target, { recursive: true, force: true });
      put();
      const report = await world.verify();
      assert.equal(report.verdict, 'not-proven', `${path} ${put}`);
      assert.ok(report.findings.length > 0);
    }
  }
});

test('an empty or absent directory is not proven', async () => {
  using world = new World();
  const report = await world.verifyFiles();
  assert.deepEqual(
    report.findings.map(({ fault }) => fault),
    ['checkpoint-missing', 'archive-missing'],
  );
  assert.match(formatLogReport(report), /NOT PROVEN\n/);
});

test('one bit changed anywhere in the log is found, and never an exception (TEST-KEY-26)', async () => {
  using world = new World();
  await world.publish(3, 260, 40);
  const files = readdirSync(world.dir, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name))
    // The partial files of an older checkpoint: nobody reads them for this one.
    .filter((path) => !path.endsWith('.p/7'));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...files), fc.nat(), fc.nat(7), async (path, at, bit) => {
      const good = readFileSync(path);
      const byte = at % good.length;
      writeFileSync(
        path,
        good.map((value, i) => (i === byte ? value ^ (1 << bit) : value)),
      );
      const report = await world.verify();
      // Without the two newlines that end it, the last note is like one that a crash broke off: told, and no fault.
      const torn = path.endsWith('checkpoints') && byte >= good.length - 2;
      assert.equal(report.verdict, torn ? 'proven' : 'not-proven', `${path} ${byte} ${bit}`);
      if (torn) assert.equal(report.remarks.length, 1);
      writeFileSync(path, good);
    }),
    { numRuns: 150 },
  );
  assert.equal((await world.verify()).verdict, 'proven');
});

test('checkpoints out of order in the archive are found', async () => {
  using world = new World();
  await world.publish(3, 4, 5);
  const notes = world
    .file('checkpoints')
    .toString()
    .split(/(?<=— [^\n]*\n)\n(?=keystead)/);
  assert.equal(notes.length, 3);
  const [a = '', b = '', c = ''] = notes;
  writeFileSync(join(world.dir, 'checkpoints'), `${[b, a, c].join('\n')}`);
  const report = await world.verifyFiles();
  assert.deepEqual(
    report.findings.map(({ fault }) => fault),
    ['archive-disordered'],
  );
  assert.equal(parseNote(a).signatures.length, 2);
});

test('a log that is being written is proven as far as its checkpoint goes', async () => {
  using world = new World();
  await world.publish(300);
  let stop = false;
  const writing = (async () => {
    for (let i = 0; !stop; i++) await world.publish(1 + (i % 40));
  })();
  for (let i = 0; i < 8; i++) {
    const report = await world.verify({ stored: world.database, settleMs: 5_000, timers: undefined });
    assert.equal(report.verdict, 'proven', JSON.stringify(report.findings));
  }
  stop = true;
  await writing;
});

test('progress is told bundle by bundle, up to the size', async () => {
  using world = new World();
  await world.publish(600);
  const seen: number[] = [];
  await world.verifyFiles({ onProgress: ({ entries, size }) => seen.push(entries, size) });
  assert.deepEqual(seen, [256, 600, 512, 600, 600, 600]);
});

test('the report reads as text for people and as JSON for programs', async () => {
  using world = new World();
  await world.publish(3, 4);
  const good = await world.verify({ stored: world.database });
  assert.deepEqual(JSON.parse(logReportJson(good)), JSON.parse(JSON.stringify(good)));
  const text = formatLogReport(good);
  assert.match(
    text,
    /^audit log keystead.test\/log\n {2}head {9}7 entries, signed 2026-03-01T12:00:07.000Z \(checkpoint\)/,
  );
  assert.match(text, /compared {5}keyd's own 7 leaves, 7 database rows \(0 not published yet\)/);
  assert.match(text, /\nPROVEN: every entry is the one that was signed/);
  const entries = entriesOf(world);
  rewrite(world, entries.with(5, changed(entries[5], { outcome: 'refused' })), true);
  const alone = formatLogReport(await world.verifyFiles());
  assert.match(alone, /NOT PROVEN: first bad entry 3 \(to 6\)\n {2}log-rewritten {8}an entry from 3 to 6 was changed/);
  const bad = formatLogReport(await world.verify());
  assert.match(
    bad,
    /NOT PROVEN: first bad entry 5\n {2}entry-altered {8}entry 5 was altered after it was signed: its leaf hash/,
  );
});
