import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, beforeEach, test } from 'node:test';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { appendEntry, certificateRow, insertWithKey, StoreBed } from './bed.ts';

let bed = new StoreBed();
beforeEach(async () => {
  await bed.remove();
  bed = new StoreBed();
});
after(() => bed.remove());

const counts = (): { certificates: number; entries: number } =>
  bed.store.read((records) => ({ certificates: records.countCertificates(), entries: records.auditSize() }));

const issue = (): Promise<number> =>
  bed.store.commit((tx) => {
    const row = certificateRow();
    insertWithKey(tx, row);
    return appendEntry(tx, `issued ${row.serial}`);
  });

/** A process that holds the database's lock until its standard input ends. */
async function lockHolder(path: string): Promise<() => Promise<void>> {
  const script = `const {DatabaseSync}=require('node:sqlite');const db=new DatabaseSync(process.argv[1]);
    db.exec('begin exclusive');process.stdout.write('held');
    process.stdin.resume();process.stdin.on('end',()=>{db.exec('rollback');db.close()});`;
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise<void>((resolve, reject) => {
    child.stdout.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`the lock holder ended with ${code}`)));
  });
  return () =>
    new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.stdin.end();
    });
}

test('a database that another process has locked refuses writes as unavailable, changes nothing, and recovers', async () => {
  bed.open({ lockWait: { tries: 3, everyMs: 5 } });
  await issue();
  const before = counts();
  const release = await lockHolder(bed.path);
  try {
    const outcomes = await Promise.allSettled([issue(), issue()]);
    for (const outcome of outcomes) {
      assert.equal(outcome.status, 'rejected');
      const error = outcome.status === 'rejected' ? outcome.reason : undefined;
      assert.ok(error instanceof KeysteadError);
      assert.equal(error.code, 'store.locked');
      assert.equal(error.kind, 'unavailable');
      assert.match(error.message, /another process/);
    }
    assert.deepEqual(counts(), before);
  } finally {
    await release();
  }
  assert.equal(await issue(), before.entries);
});

test('a lock that is released in time only delays the work', async () => {
  bed.open({ lockWait: { tries: 1000, everyMs: 5 } });
  await issue();
  const release = await lockHolder(bed.path);
  const waiting = Promise.all([issue(), issue()]);
  await release();
  assert.deepEqual(await waiting, [1, 2]);
});

test('a database that is locked at start is not opened', async () => {
  await issue();
  await bed.close();
  const release = await lockHolder(bed.path);
  try {
    assert.throws(() => bed.open({ lockWait: { tries: 2, everyMs: 5 } }), { code: 'store.locked' });
  } finally {
    await release();
  }
  assert.equal(counts().certificates, 1);
});

test('a full disk refuses the whole group as unavailable, keeps what was acknowledged, and recovers with room', async () => {
  const mount = mkdtempSync(join(tmpdir(), 'keystead-full-'));
  const body = new URL('./full-disk.ts', import.meta.url).pathname;
  const script = `mount -t tmpfs -o size=2m tmpfs '${mount}' && exec '${process.execPath}' '${body}' '${mount}'`;
  try {
    // A mount namespace of its own: nothing of it is left behind, and no privilege is needed.
    const out = execFileSync('unshare', ['--map-root-user', '--mount', 'sh', '-c', script], { encoding: 'utf8' });
    const report = JSON.parse(out);
    assert.equal(report.code, 'store.disk-full');
    assert.equal(report.kind, 'unavailable');
    assert.ok(report.acknowledged > 0);
    // Every acknowledged certificate is there with its entry, and nothing of what was refused.
    assert.deepEqual(report.full, { certificates: report.acknowledged, entries: report.acknowledged });
    assert.deepEqual(report.afterRoom, { certificates: report.acknowledged + 1, entries: report.acknowledged + 1 });
    assert.deepEqual(report.reopened, report.afterRoom);
    assert.equal(report.openOnFull, 'store.disk-full');
  } finally {
    rmSync(mount, { recursive: true });
  }
});

test('a file that is no database is refused as corrupt, and is left as it was', async () => {
  await issue();
  await bed.close();
  for (const name of readdirSync(join(bed.directory, 'store'))) rmSync(join(bed.directory, 'store', name));
  const junk = randomBytes(8192);
  writeFileSync(bed.path, junk);
  assert.throws(() => bed.open(), { code: 'store.corrupt' });
  assert.deepEqual(new Uint8Array(readFileSync(bed.path)), junk);
});

test('a damaged page, a cut-off file and a database of another program are refused as corrupt', async () => {
  for (let i = 0; i < 200; i += 1) await issue();
  await bed.close();
  const whole = readFileSync(bed.path);
  const size = statSync(bed.path).size;

  // A page of the certificates' tree, in the middle of the file.
  const damaged = Buffer.from(whole);
  damaged.fill(0xff, Math.floor(size / 8192) * 4096, Math.floor(size / 8192) * 4096 + 512);
  writeFileSync(bed.path, damaged);
  assert.throws(() => bed.open(), { code: 'store.corrupt' });

  writeFileSync(bed.path, whole);
  truncateSync(bed.path, Math.floor(size / 2));
  assert.throws(() => bed.open(), { code: 'store.corrupt' });

  rmSync(bed.path);
  const foreign = new DatabaseSync(bed.path);
  foreign.exec('create table recipes (name text)');
  foreign.close();
  assert.throws(() => bed.open(), { code: 'store.corrupt', field: 'application_id' });

  writeFileSync(bed.path, whole);
  assert.equal(counts().certificates, 200);
});

test('a database of a later version is not touched', async () => {
  await issue();
  await bed.close();
  const later = new DatabaseSync(bed.path);
  later.exec("insert into migration (version, name, applied_at) values (999, 'later', 0)");
  later.close();
  assert.throws(() => bed.open(), { code: 'store.newer' });
});

test('what was acknowledged survives kill -9, and no certificate is without its entry', async () => {
  const body = new URL('./killed-writer.ts', import.meta.url).pathname;
  for (let round = 0; round < 8; round += 1) {
    const child = spawn(process.execPath, [body, bed.path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const acknowledged: string[] = [];
    let rest = '';
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop() ?? '';
        acknowledged.push(...lines);
        if (acknowledged.length > 50 + round * 97) child.kill('SIGKILL');
      });
      child.once('close', () => resolve());
    });
    const found = bed.store.read((records) => {
      const missing = acknowledged.filter((serial) => records.certificatesBySerial(serial as never).length !== 1);
      const entries = records.auditEntries(0, 1_000_000).map(({ bytes }) => Buffer.from(bytes).toString());
      return {
        missing,
        entries: new Set(entries).size,
        size: records.auditSize(),
        certificates: records.countCertificates(),
      };
    });
    assert.deepEqual(found.missing, []);
    assert.equal(found.entries, found.size);
    assert.equal(found.size, found.certificates);
    await bed.close();
  }
});
