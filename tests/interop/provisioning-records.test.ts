import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { certSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parseTicket } from '@keystead/core/lifecycle';
import { factory } from 'keystead/start/steps/3-factory.ts';
import { readBirthCertificate } from 'keystead/verify/birth-certificate.ts';
import { type ExportReport, verifyExport } from 'keystead/verify/export/check.ts';
import { batchStatement, countUnit, newTally } from 'keystead/verify/export/statement.ts';
import { checkpointKeys } from 'keystead/verify/log-keys.ts';
import { RecordVerifier } from 'keystead/verify/record.ts';
import { certificateIn } from 'keystead/verify/trusted.ts';
import { parse, parseAllDocuments } from 'yaml';
import { Deployment } from '../system/deployment.ts';
import { Bench, keystead, ok, openssl } from './foreign.ts';

/** A batch of ten as the quality department gets it: a directory, and one file that travels with each device. */
let bench: Bench;
let data: string;
let batch: string;
let ticket: string;
/** What the auditor trusts: got on another way than the export. */
let trust: string;

const provisioning = (...args: string[]): ReturnType<typeof keystead> => keystead(['provisioning', ...args]);
const served = (...args: string[]): ReturnType<typeof keystead> => provisioning(...args, '--data', data);

before(async () => {
  const deployment = await Deployment.start({ ldevidSeconds: 3600 });
  bench = new Bench(deployment);
  await factory(deployment.world);
  data = deployment.layout.data;
  ticket = deployment.world.config.batch.ticketId;
  batch = bench.path('batch');
  trust = bench.path('trusted');
  mkdirSync(trust);
  for (const name of ['root.pem', 'log.vkey', 'log-cosign.vkey'])
    copyFileSync(join(deployment.layout.trust, name), join(trust, name));
  for (let tries = 0; ; tries += 1) {
    const made = await served('birth-certificate', 'KS-0010', '--out', bench.path('KS-0010.birth.pem'));
    if (made.status === 0) break;
    // The log follows within a second.
    assert.equal(made.status, 4, made.stderr);
    assert.ok(tries < 60, made.stderr);
    await pause(100);
  }
});
after(() => bench?.deployment.stop());

test('TEST-KEY-18 a batch is exported with its statement and verifies offline, also under keys got elsewhere', async () => {
  const exported = await served('export', '--batch', ticket, '--out', batch);
  assert.equal(exported.status, 0, exported.stderr);
  for (const more of [[], ['--trust', trust]]) {
    const { status, stdout, stderr } = await provisioning('verify', batch, '--json', ...more);
    assert.equal(status, 0, stdout + stderr);
    const report = JSON.parse(stdout) as ExportReport;
    assert.deepEqual([report.records, report.proven, report.failed], [10, 10, 0]);
  }
  const statement = parse(readFileSync(join(batch, 'batch-statement.yml'), 'utf8')) as Record<string, unknown>;
  assert.equal(statement.quota, 10);
  assert.equal(statement.units_made, 10);
  assert.equal(statement.ids_in_range, 11);
  assert.equal(statement.ids_never_made, 1);
  assert.deepEqual(statement.ids_never_made_list, [{ from: 'KS-0011', to: 'KS-0011' }]);
  assert.deepEqual(statement.units_by_key_origin, {
    'tpm2-attested': 0,
    'secure-element': 0,
    'proof-of-possession': 10,
    injected: 0,
  });
  const table = await provisioning('verify', batch);
  assert.match(table.stdout, /10 of 10 units made; 1 ids of the range never made[\s\S]*PROVEN: 10 of 10 records/);
});

test('TEST-KEY-18 sha256sum and openssl verify an export by hand [openssl: Records signature] [sha256sum: Records export]', async () => {
  await ok('sha256sum', ['--check', '--strict', '--quiet', 'SHA256SUMS'], { cwd: batch });
  const chain = ['-x509_strict', '-CAfile', join(trust, 'root.pem'), '-untrusted', join(batch, 'server.pem')];
  await openssl('verify', ...chain, join(batch, 'evidence-signer.pem'));
  const key = bench.path('signer.pub');
  await openssl('x509', '-in', join(batch, 'evidence-signer.pem'), '-noout', '-pubkey', '-out', key);
  for (const name of readdirSync(batch).filter((one) => one.endsWith('.yaml'))) {
    const record = join(batch, name);
    await openssl('dgst', '-sha256', '-verify', key, '-signature', `${record}.sig`, record);
  }
});

/** Whether our verifier finds anything wrong, whatever it is. */
function proves(directory: string, trusted?: string): boolean {
  try {
    return verifyExport(directory, trusted, () => {}).failed === 0;
  } catch (error) {
    if (error instanceof KeysteadError || error instanceof TypeError) return false;
    throw error;
  }
}

test('TEST-KEY-18 links, pipes and directories in an export are told, and neither followed nor waited for', async () => {
  const copy = bench.path('odd-files');
  for (const name of ['KS-0002.yaml', 'KS-0002.yaml.sig', 'KS-0002.yaml.proof.json', 'batch-statement.yml']) {
    for (const put of [
      (path: string) => symlinkSync(join(batch, name), path),
      (path: string) => symlinkSync('/dev/zero', path),
      (path: string) => mkdirSync(path),
      (path: string) => void execFileSync('mkfifo', [path]),
    ]) {
      rmSync(copy, { recursive: true, force: true });
      cpSync(batch, copy, { recursive: true });
      rmSync(join(copy, name));
      put(join(copy, name));
      const { failures } = verifyExport(copy, trust, () => {});
      assert.ok(
        failures.some(({ file, why }) => file === name && why === 'it is no plain file'),
        name,
      );
    }
  }
  for (const name of ['SHA256SUMS', 'batch.ticket', 'evidence-signer.pem']) {
    rmSync(copy, { recursive: true, force: true });
    cpSync(batch, copy, { recursive: true });
    rmSync(join(copy, name));
    execFileSync('mkfifo', [join(copy, name)]);
    assert.throws(() => verifyExport(copy, trust, () => {}), { code: 'record.export-damaged' }, name);
  }
});

test('TEST-KEY-18 the order of the list does not change which ids a statement says were never made', () => {
  const copy = bench.path('reordered');
  cpSync(batch, copy, { recursive: true });
  const sums = readFileSync(join(copy, 'SHA256SUMS'), 'utf8').trimEnd().split('\n').reverse();
  writeFileSync(join(copy, 'SHA256SUMS'), `${sums.join('\n')}\n`);
  assert.ok(proves(copy, trust));
});

test('TEST-KEY-18 an export with one byte changed anywhere fails, and so does one with a file too many or too few', () => {
  const copy = bench.path('changed');
  cpSync(batch, copy, { recursive: true });
  assert.ok(proves(copy));
  const names = readdirSync(batch).filter((name) => !/^KS-000[3-9]/.test(name));
  assert.ok(names.length > 15);
  for (const name of names) {
    const path = join(copy, name);
    const whole = readFileSync(path);
    const places = [0, 1, whole.length >> 1, whole.length - 2, whole.length - 1];
    for (let n = 0; n < (name === 'SHA256SUMS' ? 60 : 3); n += 1) places.push((n * 7919) % whole.length);
    for (const at of places) {
      for (const flip of [0x01, 0x20]) {
        const changed = Buffer.from(whole);
        changed[at] = (changed[at] ?? 0) ^ flip;
        writeFileSync(path, changed);
        assert.ok(!proves(copy, trust), `${name}, byte ${at}`);
      }
    }
    writeFileSync(path, whole);
  }
  writeFileSync(join(copy, 'KS-0011.yaml'), 'device_id: "KS-0011"\n');
  assert.ok(!proves(copy));
  rmSync(join(copy, 'KS-0011.yaml'));
  rmSync(join(copy, 'KS-0004.yaml.proof.json'));
  assert.ok(!proves(copy));
});

test('TEST-KEY-18 the verification names each record that fails and why, counts, and ends with 1', async () => {
  const copy = bench.path('forged');
  cpSync(batch, copy, { recursive: true });
  const record = join(copy, 'KS-0002.yaml');
  writeFileSync(record, readFileSync(record, 'utf8').replace('line: "line-1"', 'line: "line-2"'));
  // Somebody who changes a record puts its hash on the list as well.
  const sums = await ok(
    'sha256sum',
    readdirSync(copy).filter((name) => name !== 'SHA256SUMS'),
    { cwd: copy },
  );
  writeFileSync(join(copy, 'SHA256SUMS'), sums);
  const table = await provisioning('verify', copy, '--trust', trust);
  assert.equal(table.status, 1);
  assert.match(table.stdout, /KS-0002\.yaml +record\.unproven +.*signature/);
  assert.match(table.stdout, /NOT PROVEN: 9 of 10 records/);
  const { failures } = JSON.parse((await provisioning('verify', copy, '--json')).stdout) as ExportReport;
  assert.deepEqual(
    failures.map(({ file }) => file),
    ['KS-0002.yaml', 'batch-statement.yml'],
  );
});

test('TEST-KEY-18 an export from which a unit was left out, with its statement made to fit, is found by the log', async () => {
  const copy = bench.path('left-out');
  cpSync(batch, copy, { recursive: true });
  for (const end of ['', '.sig', '.proof.json']) rmSync(join(copy, `KS-0010.yaml${end}`));
  const text = readFileSync(join(copy, 'batch.ticket'), 'utf8');
  const { ticket: signed } = parseTicket(text);
  const tally = newTally(signed);
  for (const name of readdirSync(copy).filter((one) => one.endsWith('.yaml'))) {
    const { device_id: deviceId, date, line } = parse(readFileSync(join(copy, name), 'utf8')) as Record<string, string>;
    const unit = { deviceId: deviceId ?? '', date: date ?? '', line: line ?? '' };
    countUnit(tally, signed, { ...unit, keyOrigin: 'proof-of-possession' });
  }
  writeFileSync(join(copy, 'batch-statement.yml'), batchStatement(text, tally));
  const sums = await ok(
    'sha256sum',
    readdirSync(copy).filter((name) => name !== 'SHA256SUMS'),
    { cwd: copy },
  );
  writeFileSync(join(copy, 'SHA256SUMS'), sums);
  assert.ok(proves(copy, trust), 'the files alone agree with each other');
  const log = join(bench.deployment.layout.data, 'log');
  const { status, stdout } = await provisioning('verify', copy, '--trust', trust, '--log', log);
  assert.equal(status, 1);
  assert.match(stdout, /the log has 10 units of this batch among its \d+ entries, and the export 9/);
  assert.equal((await provisioning('verify', batch, '--trust', trust, '--log', log)).status, 0);
});

test('an export that was cut off goes on where it was, and is the same in the end', async () => {
  const part = bench.path('part');
  cpSync(batch, part, { recursive: true });
  // As a kill after the first page leaves it: some records and no list.
  const lines = readFileSync(join(batch, 'SHA256SUMS'), 'utf8').split('\n');
  rmSync(join(part, 'SHA256SUMS'));
  rmSync(join(part, 'KS-0009.yaml'));
  writeFileSync(join(part, 'SHA256SUMS.part'), `${lines.slice(0, 7).join('\n')}\n${'0'.repeat(20)}`);
  assert.equal((await provisioning('verify', part)).status, 1);
  const other = await served('export', 'KS-0001', '--out', batch);
  assert.equal(other.status, 3);
  assert.match(other.stderr, /record\.export-exists/);
  const again = await served('export', '--batch', ticket, '--out', part);
  assert.equal(again.status, 0, again.stderr);
  const verified = await provisioning('verify', part, '--trust', trust);
  assert.equal(verified.status, 0, verified.stdout);
  for (const name of ['batch-statement.yml', 'KS-0009.yaml', 'KS-0009.yaml.sig', 'evidence-signer.pem'])
    assert.deepEqual(readFileSync(join(part, name)), readFileSync(join(batch, name)), name);
});

test('records are shown and exported by batch and by date', async () => {
  const shown = await served('show', '--batch', ticket);
  assert.equal(shown.status, 0, shown.stderr);
  const records = parseAllDocuments(shown.stdout).map((one) => one.toJS() as { device_id: string });
  assert.deepEqual(
    records.map((one) => one.device_id),
    Array.from({ length: 10 }, (_, n) => `KS-${String(n + 1).padStart(4, '0')}`),
  );
  const today = new Date().toISOString().slice(0, 10);
  const days = await served('show', '--from', '2020-01-01', '--to', '2099-12-31', '--json');
  // The ten, and the one that the deployment has to try things with.
  assert.equal(days.stdout.trim().split('\n').length, 11);
  const before = await served('show', '--to', '2020-01-01', '--json');
  assert.equal(before.stdout, '');
  const out = bench.path('days');
  assert.equal((await served('export', '--from', '2020-01-01', '--out', out)).status, 0);
  assert.ok(!existsSync(join(out, 'batch-statement.yml')), today);
  assert.equal((await provisioning('verify', out, '--trust', trust)).status, 0);
  assert.equal((await served('show')).status, 3);
  assert.equal((await served('show', 'KS-0001', '--batch', ticket)).status, 3);
  assert.match((await served('show', '--batch', 'no-such')).stderr, /ticket\.unknown/);
});

test('TEST-KEY-18 a birth certificate verifies with openssl cms, in PEM and in DER [openssl: Records birth certificate]', async () => {
  const pem = bench.path('KS-0010.birth.pem');
  const der = bench.path('KS-0010.der');
  assert.equal((await served('birth-certificate', 'KS-0010', '--out', der)).status, 0);
  const root = ['-CAfile', join(trust, 'root.pem')];
  for (const [form, file] of [
    ['PEM', pem],
    ['DER', der],
  ] as const) {
    const record = bench.path('content.yaml');
    await openssl('cms', '-verify', '-inform', form, '-in', file, ...root, '-out', record);
    assert.deepEqual(readFileSync(record), readFileSync(join(batch, 'KS-0010.yaml')));
    const verified = await provisioning('verify', file, '--trust', trust, '--json');
    assert.equal(verified.status, 0, verified.stderr);
    assert.equal((JSON.parse(verified.stdout) as { deviceId: string }).deviceId, 'KS-0010');
  }
  // Nobody signed again: it is the signature of the record.
  const read = readBirthCertificate(readFileSync(der));
  assert.deepEqual(Buffer.from(read.signature), readFileSync(join(batch, 'KS-0010.yaml.sig')));
  assert.match(readFileSync(join(batch, 'KS-0010.yaml'), 'utf8'), new RegExp(certSha256(read.evidenceSigner)));
});

/** Whether our verifier takes a birth certificate under the keys that are trusted. */
function bears(file: Uint8Array): boolean {
  try {
    const { evidenceSigner, intermediates, ...evidence } = readBirthCertificate(file);
    const anchors = [certificateIn(join(trust, 'root.pem'))];
    const logKeys = checkpointKeys(trust);
    new RecordVerifier({ anchors, intermediates, signers: [evidenceSigner], logKeys }).verify(evidence);
    return true;
  } catch (error) {
    if (error instanceof KeysteadError) return false;
    throw error;
  }
}

test('TEST-KEY-18 a birth certificate with one byte changed proves nothing, and what another than the evidence signer signs is none', async () => {
  const der = readFileSync(bench.path('KS-0010.der'));
  assert.ok(bears(der));
  for (let at = 0; at < der.length; at += 23) {
    const changed = Buffer.from(der);
    changed[at] = (changed[at] ?? 0) ^ 0x40;
    assert.ok(!bears(changed), `byte ${at} of ${der.length}`);
  }
  // An operator leads to the same root, and the log has an entry of this very record: the signer is the wrong one.
  const { operators, unlock } = bench.deployment.layout;
  const forged = bench.path('forged.der');
  const signer = ['-signer', join(operators, 'line-1.pem'), '-inkey', join(operators, 'line-1.key.pem')];
  const more = ['-certfile', join(trust, 'root.pem'), '-passin', `file:${join(unlock, 'operators')}`];
  const form = ['-binary', '-nodetach', '-noattr', '-outform', 'DER', '-md', 'sha256'];
  await openssl('cms', '-sign', '-in', join(batch, 'KS-0010.yaml'), ...signer, ...more, ...form, '-out', forged);
  const { status, stderr } = await provisioning('verify', forged, '--trust', trust);
  assert.equal(status, 1);
  assert.match(stderr, /NOT PROVEN/);
});
