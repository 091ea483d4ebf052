import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { toPem } from '@keystead/core/bytes';
import { newKey, Rig } from '../faults/rig.ts';
import { keystead, ok } from '../interop/foreign.ts';
import { TestStation } from './station-rig.ts';

/** The program itself: what finds its runtime is a process of its own, which a kill would not pass on. */
const PROGRAM = fileURLToPath(new URL('../../packages/keystead/cli/main.ts', import.meta.url));
let rig: Rig;
let station: TestStation;
let rigCommand: string;
let installCommand: string;
before(async () => {
  rig = await Rig.make();
  station = await TestStation.enrol(rig);
  await rig.batch('batch-a', 40, 'PA-', 90);
  // A rig with openssl in place of a unit: it keeps the key of each, as a unit does, and makes a new request each time.
  rigCommand = join(rig.folder, 'rig.sh');
  writeFileSync(
    rigCommand,
    `#!/bin/sh
set -e
cd "${rig.folder}"
[ "$1" = "$KEYSTEAD_DEVICE_ID" ]
case "$1" in
  PA-0066) echo 'no power at the unit' >&2; exit 1;;
  PA-0067) sleep 600;;
  PA-0068) [ "$KEYSTEAD_ATTEMPT" = 2 ] || exit 75;;
  PA-0069) echo 'not a request'; exit 0;;
esac
[ -f "$1.key" ] || openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"
openssl req -new -key "$1.key" -subj "/CN=$1"
`,
  );
  installCommand = join(rig.folder, 'install.sh');
  writeFileSync(
    installCommand,
    `#!/bin/sh
set -e
cd "${rig.folder}"
[ "$1" != PA-0071 ] || { echo 'the flash is locked' >&2; exit 1; }
cat > "$1.installed"
openssl x509 -in "$1.installed" -noout
`,
  );
  for (const path of [rigCommand, installCommand]) chmodSync(path, 0o755);
});
after(() => rig.remove());

const args = (...more: string[]): string[] => [
  ...['station', '--dir', station.dir, '--key-passphrase-file', station.passFile, '--line', 'line-1'],
  ...['--operator', 'line-1', '--operator-key', join(rig.layout.operators, 'line-1.key.pem')],
  ...['--passphrase-file', rig.layout.passphrase('operators'), '--retry', '0.1', ...more],
];
const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
const idevids = (deviceId: string): number =>
  rig.records().certificates.filter(({ device }) => device === deviceId).length;

test('keystead station reads a scanner, has the rig make the request and put the certificate in, and says so in one line of JSON a unit', async () => {
  const input = 'PA-0001\r\n\nnot an id!\nPA-0002\nPA-0002\nPA-0066\nPA-0067\nPA-0068\nPA-0069\nPA-0071\nPB-0001\n';
  const more = ['--rig', rigCommand, '--install', installCommand, '--rig-timeout', '3', '--json'];
  const { status, stdout, stderr } = await keystead(args(...more), { input });
  assert.equal(status, 1, stderr);
  assert.match(stderr, /That is no device id/);
  assert.deepEqual(
    lines(stdout).map(({ deviceId, result, name, detail }) => [deviceId, result, name, detail].join(' ').trim()),
    [
      'PA-0001 pass done',
      'PA-0002 pass done',
      'PA-0002 pass done-before',
      'PA-0066 fail rig-failed no power at the unit',
      'PA-0067 fail rig-failed no answer within 3 s',
      'PA-0068 pass done',
      'PA-0069 fail rig-failed no PEM request on its standard output',
      'PA-0071 fail install-failed the flash is locked',
      'PB-0001 fail id-out-of-range station.no-batch: deviceId PB-0001',
    ],
  );
  const last = lines(stdout).at(-1) as { batches: { left: number }[]; hour: { pass: number; fail: number } };
  assert.equal(last.batches[0]?.left, 36);
  const anchor = join(rig.layout.trust, 'root.pem');
  const unit = join(station.dir, 'units', 'PA-0001.pem');
  assert.match(await ok('openssl', ['verify', '-CAfile', anchor, '-untrusted', unit, unit]), /OK/);
  assert.equal(readFileSync(join(rig.folder, 'PA-0001.installed'), 'utf8'), readFileSync(unit, 'utf8'));
  assert.ok(existsSync(join(station.dir, 'units', 'PA-0001.yaml.sig')));
  assert.deepEqual(
    readdirSync(join(station.dir, 'queue')).filter((name) => name.endsWith('.json')),
    [],
  );
});

/** The program with its standard input open. */
function start(...more: string[]): { child: ChildProcess; said: () => string; until: (what: RegExp) => Promise<void> } {
  const child = spawn(process.execPath, [PROGRAM, ...args('--rig', rigCommand, ...more)], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (part: Buffer) => {
      text += part.toString('utf8');
    });
  }
  const until = async (what: RegExp): Promise<void> => {
    const end = Date.now() + 60_000;
    while (!what.test(text)) {
      assert.equal(child.exitCode, null, text);
      assert.ok(Date.now() < end, text);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  return { child, said: () => text, until };
}

test('TEST-KEY-17 a node that is away is waited for, a station that loses power finishes the unit in hand at its next start, and each unit has one identity', async () => {
  await rig.kill('serve', 'keyd');
  // The node is away at the start: the program waits for it, and the units in hand wait in its queue.
  const first = start();
  first.child.stdin?.write('PA-0010\nPA-0011\n');
  await first.until(/The node does not answer/);
  await rig.start('keyd');
  await rig.start('serve');
  await first.until(/PA-0011[\s\S]*certificate/);
  await rig.kill('serve');
  first.child.stdin?.write('PA-0012\n');
  await first.until(/██ {3}██[\s\S]*PA-0012[\s\S]*The node does not answer/);
  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  assert.equal(readdirSync(join(station.dir, 'queue')).filter((name) => name.endsWith('.json')).length, 1);
  await rig.start('serve');
  const { status, stdout } = await keystead(args('--rig', rigCommand, '--json'), { input: '' });
  assert.equal(status, 0, stdout);
  assert.deepEqual(
    lines(stdout).map(({ deviceId, result }) => [deviceId, result]),
    [['PA-0012', 'pass']],
  );
  for (const id of ['PA-0010', 'PA-0011', 'PA-0012']) assert.equal(idevids(id), 1, id);
});

test('where nobody is signed on any more the unit in hand waits, the program ends with 3, and the next sign-on finishes it', async () => {
  const running = start();
  await running.until(/Scan or type/);
  await rig.rest('POST', `/stations/${station.name}/sign-off`, rig.person('pki'), {});
  running.child.stdin?.write('PA-0020\n');
  const [status] = await once(running.child, 'exit');
  assert.equal(status, 3, running.said());
  assert.match(running.said(), /Nobody is signed on at this station\.\n {2}Sign on\. The unit can stay where it is\./);
  const next = await keystead(args('--rig', rigCommand, '--json'), { input: '' });
  assert.equal(next.status, 0, next.stderr);
  assert.deepEqual(
    lines(next.stdout).map(({ deviceId, result }) => [deviceId, result]),
    [['PA-0020', 'pass']],
  );
});

test('requests that lie in a directory are taken in order, PEM or DER, and moved away', async () => {
  const dir = join(rig.folder, 'requests');
  mkdirSync(dir);
  writeFileSync(join(dir, 'PA-0030.csr'), toPem('CERTIFICATE REQUEST', (await newKey('PA-0030')).csr));
  writeFileSync(join(dir, 'PA-0031.der'), (await newKey('PA-0031')).csr);
  writeFileSync(join(dir, 'PA-0032.csr'), toPem('CERTIFICATE REQUEST', (await newKey('PA-0032')).csr).slice(0, 200));
  const { status, stdout } = await keystead(args('--csr-dir', dir, '--once', '--json'));
  assert.equal(status, 1);
  assert.deepEqual(
    lines(stdout).map(({ deviceId, name }) => `${String(deviceId)} ${String(name)}`),
    ['PA-0030 done', 'PA-0031 done', 'PA-0032 request-broken'],
  );
  assert.deepEqual(readdirSync(dir), ['taken']);
});

test('on a terminal the screen is large, in colours and with a bell; in a pipe it is plain text', async () => {
  const command = [process.execPath, PROGRAM, ...args('--rig', rigCommand)].map((word) => `'${word}'`).join(' ');
  const scan = `(printf 'PA-0040\\nPA-0066\\n'; sleep 1)`;
  // Nothing that Node.js takes for a wish to have no colours (CI, NO_COLOR, NODE_DISABLE_COLORS) or to force them.
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, TERM: 'xterm-256color' };
  // script(1) gives the program a terminal of its own.
  const shown = await ok('script', ['-qec', `stty -echo; ${scan} | ${command} || true`, '/dev/null'], { env });
  // Green and bold, red and bold, and three bells.
  for (const sent of ['\u001b[32m', '\u001b[31m', '\u0007\u0007\u0007'])
    assert.ok(shown.includes(sent), JSON.stringify(sent));
  const plain = await keystead(args('--rig', rigCommand), { input: 'PA-0041\nPA-0066\n' });
  assert.equal(plain.status, 1);
  for (const control of ['\u0007', '\u001b']) assert.ok(!plain.stdout.includes(control));
  assert.match(plain.stdout, /PA-0041\n {2}The unit has its certificate\.\n {2}Take the next one\./);
});

test('a second program does not take the queue of the first, and neither a way of making requests is given nor two', async () => {
  const running = start();
  await running.until(/Scan or type/);
  const second = await keystead(args('--rig', rigCommand), { input: '' });
  assert.equal(second.status, 3, second.stderr);
  assert.match(second.stderr, /another keystead station/);
  running.child.kill('SIGTERM');
  assert.deepEqual(await once(running.child, 'exit'), [4, null]);
  assert.equal((await keystead(args())).status, 2);
  assert.equal((await keystead(args('--rig', 'x', '--csr-dir', 'y'))).status, 2);
});
