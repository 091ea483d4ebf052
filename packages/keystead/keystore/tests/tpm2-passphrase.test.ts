import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { KeysteadError } from '@keystead/core/errors';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { readPassphrase } from '../passphrase.ts';
import { readSealedSecret, writeSealedSecret } from '../tpm2/index.ts';
import { clock, inTemporaryDirectory, phrase } from './support.ts';

let swtpm: Swtpm;
before(async () => {
  swtpm = await Swtpm.start({ certificates: true });
});
after(() => swtpm.stop());

const SECRET = 'five random words of custodians';
const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url));

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `keystead tpm …`, with `secret` on descriptor 3 where one is given. */
function keystead(args: readonly string[], secret?: string): Promise<Outcome> {
  const all = [MAIN, 'tpm', ...args, '--tpm', swtpm.address];
  const child: ChildProcess = spawn(process.execPath, all, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
  const pipe = child.stdio[3];
  if (pipe !== null && pipe !== undefined && 'end' in pipe) {
    pipe.on('error', () => undefined);
    pipe.end(secret ?? '');
  }
  const said = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk) => (said.stdout += String(chunk)));
  child.stderr?.on('data', (chunk) => (said.stderr += String(chunk)));
  return new Promise((resolve) => child.once('close', (status) => resolve({ status, ...said })));
}

test('TEST-KEY-11: a passphrase that the TPM seals is read like any other, without its line end, and not after PCRs changed', () =>
  inTemporaryDirectory(async (dir) => {
    const from = { path: join(dir, 'keyd.tpm2'), tpm: swtpm.address };
    using secret = phrase(SECRET);
    await writeSealedSecret(from, secret, clock, { selection: { bank: 'sha256', pcrs: [7, 11] } });
    assert.equal(statSync(from.path).mode & 0o777, 0o600);
    using read = await readPassphrase({ tpm2: from });
    assert.equal(
      read.use((bytes) => Buffer.from(bytes).toString()),
      SECRET,
    );
    swtpm.tool('tpm2_pcrextend', `11:sha256=${'ab'.repeat(32)}`);
    await assert.rejects(readPassphrase({ tpm2: from }), (error) => {
      assert.ok(error instanceof KeysteadError);
      assert.equal(error.code, 'tpm2.pcr-mismatch');
      assert.match(error.message, /^sha256:11: .*PCR 11 is /);
      return true;
    });
  }));

test('a file that is there is not sealed over unasked, and not before the new one opens', () =>
  inTemporaryDirectory(async (dir) => {
    const to = { path: join(dir, 'sealed'), tpm: swtpm.address };
    using secret = phrase(SECRET);
    await writeSealedSecret(to, secret, clock);
    const before = readFileSync(to.path);
    await assert.rejects(writeSealedSecret(to, secret, clock), { code: 'tpm2.file-exists' });
    const away = { ...to, tpm: 'unix:/nonexistent' };
    await assert.rejects(writeSealedSecret(away, secret, clock, { replace: true }), { code: 'tpm2.unavailable' });
    assert.deepEqual(readFileSync(to.path), before);
    await writeSealedSecret(to, secret, clock, { replace: true });
    assert.notDeepEqual(readFileSync(to.path), before);
  }));

test('no file, a damaged file, and a TPM that is away each say what they are', () =>
  inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'sealed');
    await assert.rejects(readPassphrase({ tpm2: { path, tpm: swtpm.address } }), { code: 'tpm2.file-missing' });
    writeFileSync(path, 'no such thing');
    await assert.rejects(readPassphrase({ tpm2: { path, tpm: swtpm.address } }), { code: 'tpm2.file-damaged' });
    using secret = phrase(SECRET);
    await writeSealedSecret({ path, tpm: swtpm.address }, secret, clock, { replace: true });
    await assert.rejects(readPassphrase({ tpm2: { path, tpm: 'unix:/nonexistent' } }), { code: 'tpm2.unavailable' });
  }));

test('keystead tpm seals from a descriptor, tries, and names the PCR that changed; the passphrase is nowhere', () =>
  inTemporaryDirectory(async (dir) => {
    const out = join(dir, 'keyd.tpm2');
    const sealed = await keystead(['seal', '--out', out, '--pcrs', '7,12', '--passphrase-fd', '3'], `${SECRET}\n`);
    assert.equal(sealed.status, 0, sealed.stderr);
    assert.match(sealed.stdout, /sealed to sha256:7,12, and it opens/);
    using read = await readPassphrase({ tpm2: { path: out, tpm: swtpm.address } });
    assert.equal(
      read.use((bytes) => Buffer.from(bytes).toString()),
      SECRET,
    );

    const opens = await keystead(['unseal-check', out, '--json']);
    assert.equal(opens.status, 0, opens.stderr);
    assert.deepEqual(JSON.parse(opens.stdout).pcrs, [7, 12]);

    swtpm.tool('tpm2_pcrextend', `12:sha256=${'cd'.repeat(32)}`);
    const closed = await keystead(['unseal-check', out]);
    assert.equal(closed.status, 3);
    assert.match(closed.stderr, /sha256:12: .*PCR 12 is .*\[tpm2\.pcr-mismatch\]/);
    assert.match(closed.stderr, /what to do: .*keystead tpm seal/);
    const again = await keystead(['seal', '--out', out, '--pcrs', '7,12', '--passphrase-fd', '3'], SECRET);
    assert.equal(again.status, 3);
    assert.match(again.stderr, /tpm2\.file-exists/);
    const replaced = await keystead(
      ['seal', '--out', out, '--pcrs', '12', '--passphrase-fd', '3', '--replace'],
      SECRET,
    );
    assert.equal(replaced.status, 0, replaced.stderr);
    assert.deepEqual([...readSealedSecret(out).pcrs.keys()], [12]);
    for (const { stdout, stderr } of [sealed, opens, closed, again, replaced]) {
      assert.ok(!`${stdout}${stderr}`.includes(SECRET));
    }
    assert.ok(!readFileSync(out, 'latin1').includes(SECRET));
  }));

test('keystead tpm refuses what it cannot do and leaves no file', () =>
  inTemporaryDirectory(async (dir) => {
    const out = join(dir, 'keyd.tpm2');
    const empty = await keystead(['seal', '--out', out, '--passphrase-fd', '3'], '\n');
    assert.match(empty.stderr, /kdf\.passphrase-empty/);
    const long = await keystead(['seal', '--out', out, '--passphrase-fd', '3'], 'x'.repeat(129));
    assert.match(long.stderr, /tpm2\.secret-too-long/);
    const pcr = await keystead(['seal', '--out', out, '--pcrs', '24', '--passphrase-fd', '3'], SECRET);
    assert.match(pcr.stderr, /tpm2\.pcr-selection/);
    const argv = await keystead(['seal', '--out', out, '--pcrs', 'seven', '--passphrase-fd', '3'], SECRET);
    assert.equal(argv.status, 2);
    assert.ok(!existsSync(out));
  }));

test('keystead tpm status tells who made the TPM, that its generator is healthy, and how lockout stands', async () => {
  const { status, stdout, stderr } = await keystead(['status', '--json']);
  assert.equal(status, 0, stderr);
  const report = JSON.parse(stdout);
  assert.equal(report.manufacturer, 'IBM');
  assert.equal(report.random, 'healthy');
  assert.equal(report.lockout.locked, false);
  assert.deepEqual(
    report.endorsement.map(({ kind }: { kind: string }) => kind),
    ['H-3 ECC P-384', 'L-1 RSA 2048'],
  );
});
