import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, copyFileSync, openSync, readFileSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { AcknowledgedFile } from './acknowledged.ts';
import { type Answer, certificateOf, type Identity } from './https.ts';
import { checkAtRest, checkRecords } from './invariants.ts';
import { newKey, Rig } from './rig.ts';
import { stateOf } from './unchanged.ts';

let rig: Rig;
let device: Identity;
let acknowledged: AcknowledgedFile;
before(async () => {
  rig = await Rig.make();
  device = await rig.device('DEV-0001');
  acknowledged = new AcknowledgedFile(join(rig.folder, 'acknowledged'));
});
after(async () => {
  acknowledged.close();
  await rig.remove();
});

function assertUnavailable(answer: Answer, code: string): void {
  assert.equal(answer.status, 503, answer.text);
  assert.ok(answer.text.includes(code), answer.text);
  assert.match(String(answer.headers['retry-after']), /^\d+$/);
  assert.match(answer.text, /what to do|remedy/);
}

function note(answer: Answer): void {
  assert.equal(answer.status, 200, answer.text);
  const certificate = Buffer.from(certificateOf(answer)).toString('base64');
  acknowledged.note({ device: 'DEV-0001', profile: 'ldevid', certificate });
}

test('with keyd killed, serve says 503 and when to ask again, changes nothing, and goes on when keyd is back', async () => {
  const before = stateOf(rig);
  const { csr } = await newKey('DEV-0001');
  await rig.kill('keyd');
  const answers = await Promise.all([1, 2, 3].map(() => rig.est('simpleenroll', device, csr)));
  for (const answer of answers) assertUnavailable(answer, 'keyd.unreachable');
  const { csr: unitCsr } = await newKey('DEV-0002');
  assertUnavailable(await rig.unit('batch-devices', 'DEV-0002', unitCsr), 'keyd.unreachable');
  assert.equal((await rig.https('GET', '/healthz')).status, 503);
  assert.equal((await rig.rest('GET', '/devices', rig.person('auditor'))).status, 200);
  assert.deepEqual(stateOf(rig), before);

  await rig.start('keyd');
  note(await rig.est('simpleenroll', device, csr));
  assert.equal((await rig.unit('batch-devices', 'DEV-0002', unitCsr)).status, 200);
  assert.equal((await rig.https('GET', '/healthz')).status, 200);
});

/** A process that holds the database's lock until it is told to let go. */
async function lockDatabase(path: string): Promise<() => Promise<void>> {
  const script = `const {DatabaseSync}=require('node:sqlite');const db=new DatabaseSync(process.argv[1]);
    db.exec('begin exclusive');process.stdout.write('held');
    process.stdin.resume();process.stdin.on('end',()=>{db.exec('rollback');db.close()});`;
  const child = spawn(process.execPath, ['-e', script, path], { stdio: ['pipe', 'pipe', 'ignore'] });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return () =>
    new Promise((resolve) => {
      child.once('exit', () => resolve());
      child.stdin.end();
    });
}

test('a database that another process has locked is a 503; what keyd had signed by then is put on the CRL', async () => {
  const before = rig.records();
  const release = await lockDatabase(rig.layout.database);
  const { csr } = await newKey('DEV-0001');
  try {
    assertUnavailable(await rig.est('simpleenroll', device, csr), 'store.locked');
    assert.deepEqual(rig.records(), before);
  } finally {
    await release();
  }
  note(await rig.est('simpleenroll', device, csr));
  await rig.restart('serve');
  const abandoned = rig.records().orphans.filter((row) => row.fate === 'abandoned');
  assert.equal(abandoned.length, 1);
  const entries = rig.records().entries.filter((entry) => entry.type === 'certificate.abandoned');
  assert.equal(entries.length, 1);
  checkRecords(rig.records(), acknowledged.all());
});

test('a corrupt database stops serve at its start with what to do, and the whole one serves again', async () => {
  await rig.stop('serve');
  const path = rig.layout.database;
  copyFileSync(path, `${path}.whole`);
  const file = openSync(path, 'r+');
  // From the third page to the last: each table and index has its root there.
  for (let at = 8192; at < statSync(path).size; at += 512) writeSync(file, 'this is no page of a database', at);
  closeSync(file);
  await assert.rejects(rig.start('serve'), (error) => {
    assert.ok(error instanceof KeysteadError);
    assert.equal(error.code, 'service.did-not-start');
    assert.match(error.message, /the database must be whole/);
    return true;
  });
  const log = readFileSync(join(rig.layout.logs, 'serve.log'), 'utf8');
  assert.match(log, /\[store\.corrupt\]\n {2}what to do: restore it from a backup/);
  copyFileSync(`${path}.whole`, path);
  rmSync(`${path}.whole`);
  await rig.start('serve');
  checkRecords(rig.records(), acknowledged.all());
  const { csr } = await newKey('DEV-0001');
  note(await rig.est('simpleenroll', device, csr));
});

test('a second keyd or serve on the same data does not start, and the first goes on', async () => {
  await assert.rejects(rig.secondStart('keyd'), /keyd at a time|ended before it was ready/);
  await assert.rejects(rig.secondStart('serve'), /one data directory has one Keystead at a time/);
  assert.equal((await rig.https('GET', '/healthz')).status, 200);
});

test('after all of it the journal, the records, the quotas and the published log agree', async () => {
  await rig.restart('serve');
  await rig.stop('serve');
  await rig.stop('keyd');
  checkRecords(rig.records(), acknowledged.all());
  await checkAtRest(rig, new Map([['batch-devices', 100]]));
});
