import assert from 'node:assert/strict';
import { appendFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { openCheckpoint } from '@keystead/core/log';
import fc from 'fast-check';
import { appendAudit, LogDirectory, type LogFiles, type Timers } from '../index.ts';
import { event, World } from './world.ts';

const code =
  (expected: string) =>
  (error: unknown): boolean =>
    error instanceof KeysteadError && error.code === expected;

/** Every file of the tree under a log's directory, by path; the checkpoints are left out, they carry times. */
function treeOf(dir: string): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name).slice(dir.length + 1))
    .filter((path) => path.startsWith('tile/'))
    .sort();
}

test('what is committed is published with tiles, bundles, a signed checkpoint and its archive (TEST-KEY-26)', async () => {
  using world = new World();
  await world.publish(3, 260);
  assert.deepEqual(treeOf(world.dir), [
    'tile/0/000',
    'tile/0/001.p/7',
    'tile/1/000.p/1',
    'tile/entries/000',
    'tile/entries/001.p/7',
  ]);
  const head = openCheckpoint(world.file('checkpoint').toString(), world.keys.keys);
  assert.equal(head.size, 263);
  assert.equal(world.file('checkpoints').toString().split('\n\n— ').length, 3);
  assert.equal((await world.verify({ stored: world.database })).verdict, 'proven');
});

test('nothing new makes no new checkpoint', async () => {
  using world = new World();
  await world.publish(3);
  const before = world.keyd.requests;
  await world.publisher.flush();
  assert.equal(world.keyd.requests, before);
});

/** Timers that a test fires itself. */
class HandTimers implements Timers {
  waits: { ms: number; act: () => void }[] = [];
  after(ms: number, act: () => void): () => void {
    const wait = { ms, act };
    this.waits.push(wait);
    return () => {
      this.waits = this.waits.filter((one) => one !== wait);
    };
  }

  delays(): number[] {
    return this.waits.map(({ ms }) => ms);
  }

  fire(): void {
    for (const { act } of this.waits.splice(0)) act();
  }
}

test('entries that come within the interval share one checkpoint', async () => {
  using world = new World();
  const timers = new HandTimers();
  const publisher = world.newPublisher({ timers, minIntervalMs: 1_000 });
  const one = (): void => void appendAudit(world.database, event(0), world.clock);
  one();
  publisher.nudge();
  // The first is published at once: nobody waits for an interval that nobody needs.
  assert.equal(timers.waits.length, 0);
  await publisher.flush();
  assert.equal(publisher.checkpoint?.size, 1);
  const before = world.keyd.requests;
  for (let i = 0; i < 50; i++) {
    world.clock.advance(0.01);
    one();
    publisher.nudge();
  }
  assert.deepEqual(timers.delays(), [1_000]);
  world.clock.advance(0.5);
  timers.fire();
  await publisher.flush();
  assert.equal(world.keyd.requests, before + 1);
  assert.equal(publisher.checkpoint?.size, 51);
  await publisher.close();
});

test('an entry that was told of before it was committed is found by the run that follows', async () => {
  using world = new World();
  const timers = new HandTimers();
  const publisher = world.newPublisher({ timers, minIntervalMs: 1_000 });
  publisher.nudge();
  await publisher.flush();
  assert.deepEqual([publisher.checkpoint, timers.delays()], [undefined, [1_000]]);
  world.append(1);
  timers.fire();
  await publisher.covered(0);
  await publisher.flush();
  // And where nobody told, the database is looked at now and then.
  assert.deepEqual(timers.delays(), [1_000]);
  timers.fire();
  await publisher.flush();
  assert.deepEqual(timers.delays(), [10_000]);
  world.append(1);
  timers.fire();
  await publisher.flush();
  assert.equal(publisher.checkpoint?.size, 2);
  await publisher.close();
});

test('a log in which nothing happens is signed again each hour', async () => {
  using world = new World();
  const publisher = world.newPublisher();
  world.append(2);
  await publisher.flush();
  world.clock.advance(3_599);
  await publisher.flush();
  assert.equal((await world.verify()).head?.signedAt, '2026-03-01T12:00:02.000Z');
  world.clock.advance(1);
  await publisher.flush();
  const report = await world.verify();
  assert.deepEqual(
    [report.verdict, report.checkpoints],
    ['proven', { archived: 2, widest: { entries: 2, seconds: 3_600 } }],
  );
  assert.equal(report.head?.signedAt, '2026-03-01T13:00:02.000Z');
  await publisher.close();
});

test('a failure is told, retried later and later, and loses nothing', async () => {
  using world = new World();
  const timers = new HandTimers();
  const errors: unknown[] = [];
  const publisher = world.newPublisher({ timers, minIntervalMs: 1_000, onError: (error) => errors.push(error) });
  world.keyd.beforeAnswer = () => {
    throw new KeysteadError('keyd.unreachable');
  };
  world.append(2);
  await assert.rejects(publisher.flush(), code('keyd.unreachable'));
  assert.deepEqual(timers.delays(), [2_000]);
  const covered = publisher.covered(1);
  await assert.rejects(covered, code('keyd.unreachable'));
  world.clock.advance(2);
  timers.fire();
  await publisher.flush().catch(() => {});
  assert.ok(errors.length >= 2);
  assert.ok((timers.delays()[0] ?? 0) >= 8_000, `${timers.delays()}`);
  world.keyd.beforeAnswer = () => {};
  await publisher.flush();
  assert.equal(publisher.checkpoint?.size, 2);
  assert.equal((await world.verify()).verdict, 'proven');
  await publisher.close();
  assert.deepEqual(timers.delays(), []);
});

test('a checkpoint that was signed long after the entries were read is not published', async () => {
  using world = new World();
  world.append(1);
  let slow = 2;
  world.keyd.beforeAnswer = () => {
    if (slow-- > 0) world.append(12);
  };
  await world.publisher.flush();
  assert.equal(world.publisher.checkpoint?.size, 25);
  assert.equal((await world.verify()).verdict, 'proven');
  world.append(1);
  slow = Number.POSITIVE_INFINITY;
  await assert.rejects(world.publisher.flush(), code('log.signer-slow'));
});

test('a long backlog goes to keyd in pages and becomes one checkpoint', async () => {
  using world = new World();
  for (const count of [8_192, 9_000]) {
    for (let i = 0; i < count; i++) appendAudit(world.database, event(i), world.clock);
    await world.publisher.flush();
  }
  assert.equal(world.publisher.checkpoint?.size, 17_192);
  assert.equal(world.keyd.requests, 3);
  assert.equal((await world.verify({ stored: world.database })).verdict, 'proven');
});

test('a row whose bytes were changed in the database before it was published stops the publisher', async () => {
  using world = new World();
  await world.publish(3);
  world.append(3);
  const row = world.database.rows[4];
  if (row !== undefined) world.database.rows[4] = { ...row, bytes: Buffer.from('{}') };
  await assert.rejects(world.publisher.flush(), code('log.diverged'));
  assert.equal((await world.verify()).head?.size, 3);
});

test('a database that lost what keyd signed stops the publisher', async () => {
  using world = new World();
  world.append(5);
  world.keyd.beforeAnswer = () => {
    throw new KeysteadError('keyd.unreachable');
  };
  await assert.rejects(world.publisher.flush());
  world.keyd.beforeAnswer = () => {};
  world.database.rows.length = 3;
  await assert.rejects(world.publisher.flush(), code('log.diverged'));
});

test('damaged files stop the publisher, since the damage may be evidence', async () => {
  for (const path of ['tile/0/000.p/3', 'tile/entries/000.p/3', 'checkpoint']) {
    using world = new World();
    await world.publish(3);
    const bytes = world.file(path);
    writeFileSync(join(world.dir, path), path === 'checkpoint' ? bytes.subarray(0, 40) : bytes.map((b) => b ^ 1));
    world.append(1);
    await assert.rejects(world.newPublisher().open(), code('log.damaged'), path);
  }
});

test('a log whose directory is gone is made anew from the database, under the same signature', async () => {
  using world = new World();
  await world.publish(3, 300);
  rmSync(world.dir, { recursive: true });
  await world.newPublisher().open();
  assert.equal((await world.verify({ stored: world.database })).verdict, 'proven');
});

test('a torn record at the end of the archive is cut off, and the published checkpoint archived', async () => {
  using world = new World();
  await world.publish(3, 4);
  const archive = world.file('checkpoints');
  for (const length of [archive.length - 1, archive.length - 100, archive.length - 250, 10, 0]) {
    writeFileSync(join(world.dir, 'checkpoints'), archive.subarray(0, length));
    await world.newPublisher().open();
    const restored = world.file('checkpoints').toString();
    assert.ok(restored.endsWith(`${world.file('checkpoint')}\n`), `cut at ${length}`);
    assert.equal((await world.verify()).verdict, 'proven', `cut at ${length}`);
  }
  appendFileSync(join(world.dir, 'checkpoints'), 'garbage');
  await world.newPublisher().open();
  assert.deepEqual((await world.verify()).remarks, []);
});

class PowerCut extends Error {}

/** A disk that loses power after `steps` operations; what is half done then is torn as a disk tears it. */
class CuttingFiles implements LogFiles {
  readonly #files: LogFiles;
  #steps: number;

  constructor(files: LogFiles, steps: number) {
    this.#files = files;
    this.#steps = steps;
  }

  async #step(half?: () => Promise<void>): Promise<void> {
    if (this.#steps-- > 0) return;
    if (this.#steps === -1) await half?.();
    throw new PowerCut();
  }

  read = (path: string): Promise<Uint8Array | undefined> => this.#files.read(path);
  tail = (path: string, count: number): Promise<{ bytes: Uint8Array; size: number }> => this.#files.tail(path, count);
  list = (path: string): Promise<string[]> => this.#files.list(path);

  async write(path: string, bytes: Uint8Array): Promise<void> {
    await this.#step();
    await this.#files.write(path, bytes);
  }

  async append(path: string, bytes: Uint8Array): Promise<void> {
    await this.#step(() => this.#files.append(path, bytes.subarray(0, bytes.length * 0.6)));
    await this.#files.append(path, bytes);
  }

  async truncate(path: string, size: number): Promise<void> {
    await this.#step();
    await this.#files.truncate(path, size);
  }

  async remove(path: string): Promise<void> {
    await this.#step();
    await this.#files.remove(path);
  }
}

/** The content of every file of the tree. */
const contentOf = (world: World): [string, string][] =>
  treeOf(world.dir).map((path) => [path, world.file(path).toString('hex')]);

test('a power cut between any two writes leaves a log that verifies, goes on, and ends as if nothing had been (TEST-KEY-26)', async () => {
  const batches = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 3 });
  const cuts = fc.array(fc.nat(14), { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(batches, cuts, async (counts, steps) => {
      using cut = new World();
      const pending = [...steps];
      for (const count of counts) {
        cut.append(count);
        for (let done = false; !done; ) {
          const next = pending.shift();
          const files = new LogDirectory(cut.dir);
          const publisher = cut.newPublisher({ dir: next === undefined ? files : new CuttingFiles(files, next) });
          try {
            await publisher.open();
            done = true;
          } catch (error) {
            assert.ok(error instanceof PowerCut, String(error));
          }
          if (!cut.has('checkpoint')) continue;
          // What stands there now is a whole log, as far as its checkpoint goes; keyd may know more.
          const { findings } = await cut.verifyFiles();
          const allowed = cut.has('checkpoints') ? [] : ['archive-missing'];
          assert.deepEqual(
            findings.map(({ fault }) => fault),
            allowed,
          );
        }
      }
      // The same rows once more, without cuts.
      using straight = new World();
      let taken = 0;
      for (const count of counts) {
        taken += count;
        straight.database.rows.push(...cut.database.rows.slice(taken - count, taken));
        straight.clock.set(cut.clock.now());
        await straight.publisher.flush();
      }
      assert.deepEqual(contentOf(cut), contentOf(straight));
      const report = await cut.verify({ stored: cut.database });
      assert.equal(report.verdict, 'proven', JSON.stringify(report.findings));
    }),
    { numRuns: 30 },
  );
});
