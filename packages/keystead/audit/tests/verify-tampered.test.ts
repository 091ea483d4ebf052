import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { leafHash } from '@keystead/core/log';
import { appendAudit, entryBytes, type LogReport } from '../index.ts';
import { changed, entriesOf, renumbered, rewrite, thinArchive } from './tamper.ts';
import { event, World } from './world.ts';

/** A log of 600 entries in seven checkpoints, over three bundles. */
async function sampleLog(): Promise<World> {
  const world = new World();
  await world.publish(1, 9, 100, 200, 1, 200, 89);
  return world;
}

function assertBad(report: LogReport, index: number, fault: string, upTo?: number): void {
  assert.equal(report.verdict, 'not-proven');
  const { firstBad } = report;
  assert.deepEqual(
    [firstBad?.index, firstBad?.upTo, firstBad?.fault],
    [index, upTo, fault],
    JSON.stringify(report.findings),
  );
  assert.match(firstBad?.why ?? '', new RegExp(`${index}`));
}

test('an untouched log is proven: alone, with the leaves of keyd, with the database (TEST-KEY-26)', async () => {
  using world = await sampleLog();
  for (const report of [
    await world.verifyFiles(),
    await world.verify(),
    await world.verify({ stored: world.database }),
  ]) {
    assert.equal(report.verdict, 'proven', JSON.stringify(report.findings));
    assert.deepEqual([report.head?.size, report.entries.checked, report.checkpoints.archived], [600, 600, 7]);
    assert.equal(report.checkpoints.widest.entries, 200);
    assert.equal(report.entries.first, '2026-03-01T12:00:01.000Z');
  }
});

const AT = 307;

for (const index of [0, 255, 256, AT, 599]) {
  test(`entry ${index} altered in its bundle is named, by the tiles alone (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    const entries = entriesOf(world);
    rewrite(world, entries.with(index, changed(entries[index], { outcome: 'refused' })), false);
    assertBad(await world.verifyFiles(), index, 'entry-altered');
  });

  test(`entry ${index} altered with every tile recomputed is named, by the leaves of keyd (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    const entries = entriesOf(world);
    rewrite(world, entries.with(index, changed(entries[index], { outcome: 'refused' })), true);
    const report = await world.verify();
    assertBad(report, index, 'entry-altered');
    // The hash that the report names is one that anybody can compute.
    const sum = execFileSync('sha256sum', {
      input: Buffer.concat([Uint8Array.of(0), entries[index] ?? new Uint8Array()]),
      encoding: 'utf8',
    });
    assert.match(report.firstBad?.why ?? '', new RegExp(`signed was ${sum.slice(0, 64)}`));
  });
}

test('an entry altered with every tile recomputed is found without keyd: between two archived checkpoints (TEST-KEY-26)', async () => {
  using world = await sampleLog();
  const entries = entriesOf(world);
  rewrite(world, entries.with(AT, changed(entries[AT], { outcome: 'refused' })), true);
  assertBad(await world.verifyFiles(), 110, 'log-rewritten', 309);
  // Where one checkpoint covers one entry, that entry is named.
  rewrite(world, entries.with(310, changed(entries[310], { outcome: 'refused' })), true);
  assertBad(await world.verifyFiles(), 310, 'log-rewritten');
  rewrite(world, entries.with(0, changed(entries[0], { outcome: 'refused' })), true);
  assertBad(await world.verifyFiles(), 0, 'log-rewritten');
});

test('an entry altered with every tile recomputed and the archive thinned is found by the signed root (TEST-KEY-26)', async () => {
  using world = await sampleLog();
  const entries = entriesOf(world);
  rewrite(world, entries.with(AT, changed(entries[AT], { outcome: 'refused' })), true);
  thinArchive(world);
  assertBad(await world.verifyFiles(), 0, 'log-rewritten', 599);
  assertBad(await world.verify(), AT, 'entry-altered');
});

for (const tiles of [false, true]) {
  const how = tiles ? 'with every tile recomputed' : 'in the bundles';

  test(`a dropped entry is named, ${how} (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    rewrite(world, entriesOf(world).toSpliced(AT, 1), tiles);
    assertBad(await world.verify(), AT, 'entry-dropped');
    // Alone, the numbers in the entries give it away.
    const alone = await world.verifyFiles();
    assert.equal(alone.firstBad?.index, AT);
  });

  test(`a dropped entry is named though the others were renumbered, ${how} (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    rewrite(world, renumbered(entriesOf(world).toSpliced(AT, 1)), tiles);
    const report = await world.verify();
    assert.equal(report.firstBad?.index, AT);
    assert.match(report.firstBad?.fault ?? '', /^entry-/);
  });

  test(`the last entry dropped is named, ${how} (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    rewrite(world, entriesOf(world).slice(0, 599), tiles);
    assertBad(await world.verify(), 599, 'entry-missing');
    assertBad(await world.verifyFiles(), 599, 'entry-missing');
  });

  test(`two entries in each other's place are named, ${how} (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    const entries = entriesOf(world);
    const [a, b] = [entries[AT], entries[AT + 5]];
    rewrite(world, entries.with(AT, b ?? new Uint8Array()).with(AT + 5, a ?? new Uint8Array()), tiles);
    assertBad(await world.verify(), AT, 'entry-reordered');
    assert.equal((await world.verifyFiles()).firstBad?.index, AT);
  });

  test(`an entry that stands there twice is named, ${how} (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    const entries = entriesOf(world);
    rewrite(world, entries.toSpliced(AT, 0, entries[AT - 1] ?? new Uint8Array()).slice(0, 600), tiles);
    assertBad(await world.verify(), AT, 'entry-duplicated');
    assert.equal((await world.verifyFiles()).firstBad?.index, AT);
  });

  test(`an entry that was slipped in is named, ${how} (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    const entries = entriesOf(world);
    const forged = changed(entries[AT], { id: '0'.repeat(32), type: 'device.decommissioned' });
    rewrite(world, entries.toSpliced(AT, 0, forged).slice(0, 600), tiles);
    assertBad(await world.verify(), AT, 'entry-inserted');
  });

  test(`an entry whose time was moved back after it was signed is named, ${how} (TEST-KEY-26)`, async () => {
    using world = await sampleLog();
    const entries = entriesOf(world);
    rewrite(world, entries.with(AT, changed(entries[AT], { time: '2026-02-01T00:00:00.000Z' })), tiles);
    const report = await world.verify();
    assertBad(report, AT, 'entry-altered');
    assert.match(report.firstBad?.why ?? '', /it says 2026-02-01T00:00:00.000Z, the entry before it/);
    assert.equal((await world.verifyFiles()).firstBad?.index, AT);
  });
}

/** Puts an entry with another time into the database as somebody would who has its password. */
function slipIn(world: World, time: string): void {
  const entry = appendAudit(world.database, event(0), world.clock);
  const bytes = entryBytes({ ...entry, time });
  world.database.rows.pop();
  world.database.insertAudit({ seq: entry.seq, time: Date.parse(time), leafHash: leafHash(bytes), bytes });
}

test('an entry that was backdated before it was signed is named by its predecessor (TEST-KEY-26)', async () => {
  using world = await sampleLog();
  slipIn(world, '2026-03-01T12:00:00.000Z');
  world.append(5);
  await world.publisher.flush();
  assertBad(await world.verifyFiles(), 600, 'entry-backdated');
});

test('an entry that was backdated into a quiet hour is named by the signature of that hour (TEST-KEY-26)', async () => {
  using world = new World();
  await world.publish(3);
  // An hour later nothing has happened, and keyd signs that.
  world.clock.advance(3_600);
  await world.publisher.flush();
  world.clock.advance(60);
  slipIn(world, '2026-03-01T12:30:00.000Z');
  await world.publisher.flush();
  const report = await world.verifyFiles();
  assertBad(report, 3, 'entry-backdated');
  assert.match(report.firstBad?.why ?? '', /was not in the log at 2026-03-01T13:00:03.000Z/);
});

test('an entry dated after the checkpoint that covers it is named (TEST-KEY-26)', async () => {
  using world = await sampleLog();
  slipIn(world, '2026-03-02T00:00:00.000Z');
  await world.publisher.flush();
  assertBad(await world.verifyFiles(), 600, 'entry-postdated');
});

test('a log that was set back to an older state is told by keyd, and by any newer checkpoint (TEST-KEY-26)', async () => {
  using world = await sampleLog();
  cpSync(world.dir, join(world.root, 'older'), { recursive: true });
  await world.publish(10);
  const newer = world.file('checkpoint').toString();
  rmSync(world.dir, { recursive: true });
  cpSync(join(world.root, 'older'), world.dir, { recursive: true });
  assert.equal((await world.verifyFiles()).verdict, 'proven');
  assertBad(await world.verify(), 600, 'log-truncated');
  assertBad(await world.verifyFiles({ otherCheckpoint: newer }), 600, 'log-truncated');
  // Whoever sets back the checkpoint alone is told by the archive.
  using second = await sampleLog();
  const old = second.file('checkpoint');
  await second.publish(10);
  writeFileSync(join(second.dir, 'checkpoint'), old);
  assertBad(await second.verifyFiles(), 600, 'log-truncated');
});

test('an entry changed, or dropped, in the database is named though the files are intact (TEST-KEY-26)', async () => {
  using world = await sampleLog();
  const row = world.database.rows[AT];
  assert.ok(row);
  const bytes = changed(row.bytes, { outcome: 'refused' });
  world.database.rows[AT] = { ...row, bytes, leafHash: leafHash(bytes) };
  assertBad(await world.verify({ stored: world.database }), AT, 'database-differs');
  world.database.rows[AT] = { ...row, leafHash: new Uint8Array(32) };
  assertBad(await world.verify({ stored: world.database }), AT, 'database-differs');
  world.database.rows[AT] = row;
  world.database.rows.splice(AT, 1);
  assertBad(await world.verify({ stored: world.database }), AT, 'database-dropped');
  world.database.rows.splice(AT, 0, row);
  world.append(2);
  const report = await world.verify({ stored: world.database });
  assert.deepEqual(report.comparedWith.database, { rows: 602, unpublished: 2 });
  assert.equal(report.verdict, 'proven');
});

test('damage to keyd’s leaves or to a tile is told apart from damage to an entry', async () => {
  using world = await sampleLog();
  const leaves = Buffer.concat(world.keyd.leaves);
  const other = leaves.map((byte, i) => (i === AT * 32 ? byte ^ 1 : byte));
  writeFileSync(world.keyd.leavesPath, other);
  const altered = await world.verify();
  assert.deepEqual(
    altered.findings.map(({ fault, detail }) => [fault, detail]),
    [['keyd-leaves-altered', `leaf ${AT}`]],
  );
  writeFileSync(world.keyd.leavesPath, leaves.subarray(0, 500 * 32 + 7));
  assert.deepEqual(
    (await world.verify()).findings.map(({ fault }) => fault),
    ['keyd-leaves-altered'],
  );
  writeFileSync(world.keyd.leavesPath, leaves);
  for (const path of ['tile/0/001', 'tile/1/000.p/2', 'tile/0/002.p/88']) {
    const good = world.file(path);
    writeFileSync(
      join(world.dir, path),
      good.map((byte, i) => (i === 5 ? byte ^ 1 : byte)),
    );
    const report = await world.verify();
    assert.deepEqual(
      report.findings.map(({ fault }) => fault),
      ['tile-altered'],
      path,
    );
    assert.equal(report.firstBad, undefined);
    rmSync(join(world.dir, path));
    assert.deepEqual(
      (await world.verify()).findings.map(({ fault }) => fault),
      ['tile-missing'],
      path,
    );
    writeFileSync(join(world.dir, path), good);
  }
  assert.equal((await world.verify()).verdict, 'proven');
});

test('the leaf hash in keyd’s file is SHA-256 of a zero byte and the entry', async () => {
  using world = await sampleLog();
  const entry = entriesOf(world)[AT] ?? new Uint8Array();
  assert.equal(toHex(world.keyd.leaves[AT] ?? new Uint8Array()), toHex(leafHash(entry)));
});
