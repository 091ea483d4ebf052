import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const KEYSTEAD = join(ROOT, 'packages/keystead/bin/keystead.mjs');
let folder = '';
let data = '';

interface Run {
  readonly output: string;
  readonly code: number | null;
}

/** What a newcomer types, as a process of its own; ends it with SIGINT once it says that everything is up. */
async function start(untilUp: (output: string) => Promise<void>): Promise<Run> {
  const child = spawn(process.execPath, [KEYSTEAD, 'start', '--data', data, '--ldevid-seconds', '20'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let up: (() => void) | undefined;
  const ready = new Promise<void>((resolve) => {
    up = resolve;
  });
  const take = (text: string): void => {
    output += text;
    if (output.includes('Ctrl-C stops.')) up?.();
  };
  child.stdout.setEncoding('utf8').on('data', take);
  child.stderr.setEncoding('utf8').on('data', take);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  try {
    const first = await Promise.race([ready.then(() => 'up'), ended.then(() => 'ended')]);
    assert.equal(first, 'up', output);
    await untilUp(output);
  } finally {
    child.kill('SIGINT');
    await ended;
  }
  return { output, code: child.exitCode };
}

const keystead = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [KEYSTEAD, ...args], { encoding: 'utf8' });

before(() => {
  folder = mkdtempSync(join(tmpdir(), 'keystead-story-'));
  data = join(folder, 'keystead-data');
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('a newcomer sees the whole life of a device, and everything that endpoints.json names is there', async () => {
  const { output, code } = await start(async () => {
    const endpoints = JSON.parse(readFileSync(join(data, 'endpoints.json'), 'utf8'));
    assert.ok(existsSync(endpoints.trust.anchor));
    assert.ok(existsSync(endpoints.credentials.device.certificate));
    assert.ok(existsSync(endpoints.credentials.device.key));
    for (const person of endpoints.credentials.operators) {
      assert.ok(existsSync(person.certificate) && existsSync(person.key) && existsSync(person.passphrase_file));
    }
    for (const url of [endpoints.urls.log_checkpoint, ...Object.values<string>(endpoints.urls.crl)]) {
      const answer = await fetch(url);
      assert.equal(answer.status, 200, url);
    }
    const listed = keystead('device', 'list', '--data', data, '--json');
    assert.equal(listed.status, 0, listed.stderr);
    const states = new Map<string, string>(
      (JSON.parse(listed.stdout) as { deviceId: string; state: string }[]).map((one) => [one.deviceId, one.state]),
    );
    assert.equal(states.get('KS-0004'), 'stolen');
    assert.equal(states.get('KS-0009'), 'decommissioned');
    assert.equal([...states].filter(([id, state]) => id.startsWith('KS-') && state === 'enrolled').length, 8);
    const exported = keystead('provisioning', 'export', 'KS-0002', '--data', data, '--out', join(folder, 'auditor'));
    assert.equal(exported.status, 0, exported.stderr);
    const verified = keystead('verify', '--data', data, '--json');
    assert.equal(verified.status, 0, verified.stdout);
  });
  assert.equal(code, 0, output);
  assert.match(output, /unit 11 \(KS-0011\): .*\[ticket\.quota-exhausted\]/);
  const refusedAfter = Number(/the backend refuses KS-0004 (\d+) ms after/.exec(output)?.[1]);
  assert.ok(refusedAfter <= 1000, `refused after ${refusedAfter} ms`);
  assert.match(output, /keystead audit verify and keystead verify find nothing wrong/);
  assert.ok(!existsSync(join(data, 'endpoints.json')), 'nothing is up any more, so nothing is named');
});

test('the records are YAML that an auditor reads, signed, and openssl verifies the signature', () => {
  const path = join(data, 'records', 'KS-0001.yaml');
  const record = parse(readFileSync(path, 'utf8'));
  assert.equal(record.device_id, 'KS-0001');
  assert.match(record.keys.identity_cert, /^sha256:[0-9a-f]{64}$/);
  assert.match(record.keys.bootstrap_ca, /^sha256:[0-9a-f]{64}$/);
  for (const field of ['date', 'operator', 'line', 'ticket', 'serial', 'spki_sha256', 'policy_sha256']) {
    assert.ok(record[field], field);
  }
  const publicKey = spawnSync('openssl', ['x509', '-in', join(data, 'trust/evidence-signer.pem'), '-noout', '-pubkey']);
  const keyFile = join(folder, 'evidence.pub');
  writeFileSync(keyFile, publicKey.stdout);
  const verified = spawnSync('openssl', ['dgst', '-sha256', '-verify', keyFile, '-signature', `${path}.sig`, path]);
  assert.equal(verified.status, 0, verified.stderr.toString());
});

test('TEST-KEY-18 an exported record verifies offline with its inclusion proof, and no other record does', () => {
  const record = join(folder, 'auditor', 'KS-0002.yaml');
  const good = keystead('provisioning', 'verify', record, '--json');
  assert.equal(good.status, 0, good.stderr);
  assert.equal(JSON.parse(good.stdout).deviceId, 'KS-0002');

  const text = readFileSync(record, 'utf8');
  writeFileSync(record, text.replace('operator: "line-1"', 'operator: "line-2"'));
  const altered = keystead('provisioning', 'verify', record);
  assert.equal(altered.status, 1);
  assert.match(altered.stderr, /signature: .*it does not verify/);
  // Another device's record is signed as well, but the proof is not of it.
  writeFileSync(record, readFileSync(join(data, 'records', 'KS-0003.yaml')));
  writeFileSync(`${record}.sig`, readFileSync(join(data, 'records', 'KS-0003.yaml.sig')));
  const swapped = keystead('provisioning', 'verify', record);
  assert.equal(swapped.status, 1);
  assert.match(swapped.stderr, /proof: /);
  writeFileSync(record, text);
});

test('the history is proven with nothing running', () => {
  const report = keystead('audit', 'verify', '--data', data, '--json');
  assert.equal(report.status, 0, report.stdout);
  assert.equal(JSON.parse(report.stdout).verdict, 'proven');
});

test('a second start finds the state and goes on, also for devices whose LDevID ended meanwhile', async () => {
  const { output, code } = await start(async () => {});
  assert.equal(code, 0, output);
  assert.match(output, /found the hierarchy of an earlier start/);
  assert.match(output, /KS-0004 was revoked in an earlier run/);
  assert.match(output, /KS-0009 came to its end in an earlier run/);
});

test('Keystead refuses to start twice on one directory, and says which process has it', async () => {
  await start(async () => {
    const second = keystead('start', '--data', data, '--once');
    assert.equal(second.status, 3);
    assert.match(second.stderr, /one data directory has one Keystead at a time \(saw process \d+\)/);
  });
});
