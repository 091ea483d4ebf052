import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { parse } from 'yaml';
import { Deployment } from '../system/deployment.ts';
import { Bench, type ForeignDevice, keystead, ok, openssl, run } from './foreign.ts';

/** A unit's record as an auditor gets it: files on another desk, no server and no database behind them. */
let bench: Bench;
let device: ForeignDevice;
let stopped = false;
/** The auditor's desk. */
let desk: string;

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600 }));
  device = await bench.provision('TRY-0007');
  const { layout } = bench.deployment;
  const { status, body } = await bench.curlAs('auditor', `${bench.api}/records/${device.id}`);
  assert.equal(status, 200, body);
  const { auditSeq } = JSON.parse(body) as { auditSeq: number };
  // A checkpoint is made every second: the entry is in the next one.
  for (let tries = 0; (await publishedSize()) <= auditSeq; tries += 1) {
    assert.ok(tries < 100, 'no checkpoint covers the entry');
    await pause(100);
  }
  const proof = await keystead(['audit', 'prove', String(auditSeq), '--data', layout.data]);
  assert.equal(proof.status, 0, proof.stderr);

  mkdirSync(bench.path('desk'));
  desk = bench.path('desk');
  bench.write('desk/proof.json', proof.stdout);
  for (const name of ['record.yaml', 'record.yaml.sig']) {
    copyFileSync(join(layout.records, name.replace('record', device.id)), join(desk, name));
  }
  for (const name of ['log.vkey', 'evidence-signer.pem', 'server.pem', 'root.pem']) {
    copyFileSync(join(layout.trust, name), join(desk, name));
  }
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop(true);
  stopped = true;
});
after(async () => {
  if (stopped) await ok('rm', ['-rf', bench.deployment.folder]);
  else await bench?.deployment.stop();
});

async function publishedSize(): Promise<number> {
  const { stdout } = await run('curl', ['--silent', bench.url('/log/checkpoint')]);
  return Number(stdout.split('\n')[1] ?? 0);
}

const onDesk = (command: string, ...args: string[]): ReturnType<typeof run> => run(command, args, { cwd: desk });

/** The SHA-256 of a certificate as openssl counts it, lower-case hex. */
async function fingerprint(path: string): Promise<string> {
  const printed = await openssl('x509', '-in', path, '-noout', '-fingerprint', '-sha256');
  return (printed.split('=')[1] ?? '').trim().replaceAll(':', '').toLowerCase();
}

test("TEST-KEY-18 the record names the unit: its id, openssl's fingerprints of IDevID and anchor, date, operator, line", async () => {
  const record = parse(readFileSync(join(desk, 'record.yaml'), 'utf8')) as Record<string, unknown>;
  assert.equal(record.device_id, 'TRY-0007');
  assert.deepEqual(record.keys, {
    identity_cert: `sha256:${await fingerprint(device.certificate)}`,
    bootstrap_ca: `sha256:${await fingerprint(join(desk, 'root.pem'))}`,
  });
  assert.equal(record.operator, 'line-1');
  assert.equal(record.line, 'line-1');
  assert.equal(record.serial, await bench.serial(device.certificate));
  assert.ok(Math.abs(Date.parse(String(record.date)) - Date.now()) < 120_000, String(record.date));
  assert.match(String(record.date), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  const spki = bench.path('spki.der');
  await openssl('pkey', '-in', device.key, '-pubout', '-outform', 'DER', '-out', spki);
  assert.ok((await openssl('dgst', '-sha256', '-r', spki)).startsWith(String(record.spki_sha256)));
});

test("TEST-KEY-18 openssl verifies the record's signature with a signer that leads to the offline root [openssl: Records signature]", async () => {
  const chain = ['-x509_strict', '-CAfile', 'root.pem', '-untrusted', 'server.pem'];
  const verified = await onDesk('openssl', 'verify', ...chain, 'evidence-signer.pem');
  assert.equal(verified.status, 0, verified.stderr);
  bench.write(
    'desk/signer.pub',
    (await onDesk('openssl', 'x509', '-in', 'evidence-signer.pem', '-noout', '-pubkey')).stdout,
  );
  const dgst = ['dgst', '-sha256', '-verify', 'signer.pub', '-signature', 'record.yaml.sig'];
  const { status, stdout } = await onDesk('openssl', ...dgst, 'record.yaml');
  assert.equal(status, 0);
  assert.match(stdout, /Verified OK/);
  const record = readFileSync(join(desk, 'record.yaml'), 'utf8');
  assert.match(record, new RegExp(`signer_cert: "sha256:${await fingerprint(join(desk, 'evidence-signer.pem'))}"`));
  bench.write('desk/changed.yaml', record.replace('line: "line-1"', 'line: "line-2"'));
  assert.notEqual((await onDesk('openssl', ...dgst, 'changed.yaml')).status, 0);
});

test('TEST-KEY-18 the inclusion proof verifies offline, and its entry names this record by its SHA-256', async () => {
  const { status, stdout, stderr } = await keystead(['audit', 'check-proof', 'proof.json', '--vkey', 'log.vkey'], {
    cwd: desk,
  });
  assert.equal(status, 0, stderr);
  const { entry } = JSON.parse(stdout) as {
    entry: { type: string; outcome: string; subject: Record<string, string>; detail: Record<string, string> };
  };
  assert.equal(entry.type, 'device.provisioned');
  assert.equal(entry.outcome, 'done');
  assert.equal(entry.subject.device, 'TRY-0007');
  assert.equal(entry.subject.serial, await bench.serial(device.certificate));
  const sha256 = (await onDesk('openssl', 'dgst', '-sha256', '-r', 'record.yaml')).stdout.split(' ')[0];
  assert.equal(entry.detail.recordSha256, sha256);
});

test('TEST-KEY-18 a proof that was changed, or one under other keys, does not hold', async () => {
  const check = (file: string, vkey: string): ReturnType<typeof keystead> =>
    keystead(['audit', 'check-proof', file, '--vkey', vkey], { cwd: desk });
  const proof = readFileSync(join(desk, 'proof.json'), 'utf8');
  bench.write('desk/changed.json', proof.replace('TRY-0007', 'TRY-0008'));
  assert.equal((await check('changed.json', 'log.vkey')).status, 3);
  const vkey = readFileSync(join(desk, 'log.vkey'), 'utf8');
  bench.write(
    'desk/other.vkey',
    vkey.replace(/\+([0-9a-f])/, (_all, digit: string) => `+${digit === '0' ? '1' : '0'}`),
  );
  assert.notEqual((await check('proof.json', 'other.vkey')).status, 0);
});
