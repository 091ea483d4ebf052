import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Deployment } from '../system/deployment.ts';
import { Bench, keystead, openssl, run } from './foreign.ts';

let bench: Bench;

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600, scep: true, dataName: 'keystead-data' }));
  for (const id of ['TRY-0002', 'TRY-0003', 'TRY-0004']) await bench.provision(id);
});
after(async () => {
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop();
});

const command = (...args: string[]) => keystead([...args, '--data', bench.deployment.layout.data]);
const url = (): string => bench.url('/scep');

async function authorise(id: string, devices: string, ...args: string[]): Promise<string> {
  const named = ['--id', id, '--profile', 'ldevid', '--devices', devices, '--way', 'scep'];
  const { status, stdout, stderr } = await command('authorisation', 'create', ...named, '--json', ...args);
  assert.equal(status, 0, stderr);
  return `${id}.${(JSON.parse(stdout) as { secret: string }).secret}`;
}

/** An RSA key by strongSwan. */
async function rsaKey(name: string): Promise<string> {
  const out = bench.path(`${name}.key`);
  await pki(out, ['--gen', '--type', 'rsa', '--size', '3072', '--outform', 'pem']);
  return out;
}

/** Runs `pki` with its standard output into a file; gives its exit code and what it told. */
async function pki(output: string, args: readonly string[]): Promise<{ status: number; told: string }> {
  const script = ['-c', 'out=$1; shift; exec pki "$@" > "$out"', 'sh', output, ...args];
  const { status, stderr } = await run('sh', script);
  return { status, told: stderr };
}

/** Asks by SCEP. The password goes in by a file of options, not by the command line. */
function scep(
  name: string,
  key: string,
  deviceId: string,
  ...more: string[]
): Promise<{ status: number; told: string }> {
  const ra = bench.path('ra.pem');
  const trust = ['--cacert-enc', ra, '--cacert-sig', ra, '--cacert', bench.root, '--cacert', bench.ca('operational')];
  const dn = `O=Keystead, CN=${deviceId}, serialNumber=${deviceId}`;
  const args = ['--scep', '--url', url(), '--in', key, '--dn', dn, ...trust, '--outform', 'pem', ...more];
  return pki(bench.path(`${name}.pem`), args);
}

const password = (name: string, challenge: string): string[] => [
  '--options',
  bench.write(`${name}.options`, `--password ${challenge}\n`),
];

test('pki --scepca fetches the certificate of the RA and the CAs, and trusts each [strongSwan pki: SCEP GetCACaps, SCEP GetCACert]', async () => {
  const args = [
    '--scepca',
    '--url',
    url(),
    '--caout',
    bench.path('ca'),
    '--raout',
    bench.path('ra'),
    '--outform',
    'pem',
    '--force',
  ];
  const { status, stdout, stderr } = await run('pki', args);
  assert.equal(status, 0, stdout + stderr);
  const ra = bench.path('ra.pem');
  await openssl('verify', '-x509_strict', '-CAfile', bench.root, '-untrusted', bench.ca('operational'), ra);
  const text = await openssl('x509', '-in', ra, '-noout', '-text');
  assert.match(text, /Public-Key: \(3072 bit\)/);
  assert.match(text, /Digital Signature, Key Encipherment\n/);
  assert.match(text, /CMC Registration Authority|1\.3\.6\.1\.5\.5\.7\.3\.28/);
});

test('pki --scep gets an LDevID with the secret of an authorisation, once [strongSwan pki: SCEP PKCSReq]', async () => {
  const challenge = await authorise('scep-1', 'TRY-0002..TRY-0002');
  const key = await rsaKey('first');
  const { status, told } = await scep('first', key, 'TRY-0002', ...password('first', challenge));
  assert.equal(status, 0, told);
  await bench.verify(bench.path('first.pem'), 'operational');
  const text = await openssl('x509', '-in', bench.path('first.pem'), '-noout', '-text');
  assert.match(text, /URI:urn:keystead:device:TRY-0002/);
  const again = await scep('again', key, 'TRY-0002', ...password('first', challenge));
  assert.equal(again.status, 0, again.told);
  assert.equal(await bench.serial(bench.path('again.pem')), await bench.serial(bench.path('first.pem')));
  const spent = await scep('spent', await rsaKey('spent'), 'TRY-0002', ...password('first', challenge));
  assert.notEqual(spent.status, 0);
  assert.match(spent.told, /badRequest/);
});

test('pki --scep renews with the current certificate and a new key [strongSwan pki: SCEP RenewalReq]', async () => {
  const old = ['--cert', bench.path('first.pem'), '--key', bench.path('first.key')];
  const { status, told } = await scep('second', await rsaKey('second'), 'TRY-0002', ...old);
  assert.equal(status, 0, told);
  await bench.verify(bench.path('second.pem'), 'operational');
  assert.notEqual(await bench.serial(bench.path('second.pem')), await bench.serial(bench.path('first.pem')));
});

test('pki --scep polls until an operator has approved, and is refused when one has not [strongSwan pki: SCEP CertPoll]', async () => {
  const challenge = await authorise('scep-2', 'TRY-0003..TRY-0004', '--uses', '2', '--approval');
  const decide = async (deviceId: string, ...decision: string[]): Promise<void> => {
    for (;;) {
      const { stdout } = await command('authorisation', 'requests', '--json');
      const waiting = JSON.parse(stdout) as {
        id: string;
        state: string;
        subject: { deviceId?: string };
        csr: string;
      }[];
      const one = waiting.find((request) => request.subject.deviceId === deviceId && request.state === 'waiting');
      if (one === undefined) continue;
      assert.equal(
        Buffer.from(one.csr, 'base64').includes(challenge),
        false,
        'the secret is not kept with the request',
      );
      const { status, stderr } = await command('authorisation', decision[0] ?? '', one.id, ...decision.slice(1));
      assert.equal(status, 0, stderr);
      return;
    }
  };
  const polling = ['--interval', '1', '--maxpolltime', '25'];
  const [granted] = await Promise.all([
    scep('granted', await rsaKey('granted'), 'TRY-0003', ...password('poll', challenge), ...polling),
    decide('TRY-0003', 'approve'),
  ]);
  assert.equal(granted.status, 0, granted.told);
  assert.match(granted.told, /pending/i);
  await bench.verify(bench.path('granted.pem'), 'operational');
  const [refused] = await Promise.all([
    scep('refused', await rsaKey('refused'), 'TRY-0004', ...password('poll', challenge), ...polling),
    decide('TRY-0004', 'refuse', '--reason', 'not ours'),
  ]);
  assert.notEqual(refused.status, 0);
  assert.match(refused.told, /badRequest/);
});

test('a wrong secret, no secret, another device and 3DES are refused, and nothing is issued', async () => {
  const challenge = await authorise('scep-3', 'TRY-0002..TRY-0002');
  const key = await rsaKey('no');
  for (const [deviceId, options] of [
    ['TRY-0002', password('wrong', `${challenge.slice(0, -2)}AA`)],
    ['TRY-0002', password('undotted', 'nothing-with-a-dot')],
    ['TRY-0002', []],
    ['TRY-0003', password('other', challenge)],
  ] as const) {
    const { status, told } = await scep('no', key, deviceId, ...options);
    assert.notEqual(status, 0);
    assert.match(told, /badRequest/);
  }
  const des = await scep('des', key, 'TRY-0002', '--cipher', 'des3', ...password('des', challenge));
  assert.notEqual(des.status, 0);
  assert.match(des.told, /badAlg/);
});

test('SCEP that is on is warned of in the log and by keystead verify, and the secrets stand in neither', async () => {
  assert.match(bench.deployment.log('serve'), /SCEP is on: it runs over plain HTTP/);
  const { stdout } = await command('verify', '--json');
  const line = (JSON.parse(stdout) as { id: string; verdict: string; evidence: string }[]).find(
    ({ id }) => id === 'enrolment.scep-off',
  );
  assert.equal(line?.verdict, 'weak');
  assert.match(line.evidence, /plain HTTP/);
  const secret = readFileSync(bench.path('first.options'), 'utf8').split('.')[1]?.trim() ?? '';
  assert.equal(secret.length, 43);
  assert.equal(bench.deployment.log('serve').includes(secret), false);
  assert.equal(readFileSync(bench.deployment.layout.database).includes(secret), false);
});

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const blocks = [...readFileSync(`${PROJECT}/docs/scep.md`, 'utf8').matchAll(/```sh\n([\s\S]*?)```/g)];

/** Runs a block of the page in the directory of the deployment; every command in it must succeed. */
function shell(block: string): Promise<string> {
  const npx = bench.write(
    'npx',
    `#!/bin/sh\nshift\nexec "${process.execPath}" "${PROJECT}/packages/keystead/bin/keystead.mjs" "$@"\n`,
  );
  chmodSync(npx, 0o755);
  const env = { ...process.env, PATH: `${bench.path('.')}:${process.env.PATH ?? ''}` };
  const script = block.replaceAll('http://localhost:8080', bench.deployment.world.httpUrl);
  const options = { cwd: bench.deployment.folder, env, timeout: 60_000 };
  return new Promise((resolve, reject) => {
    execFile('bash', ['--norc', '-euo', 'pipefail', '-c', script], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout + stderr);
      else reject(new Error(`${script}\n${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

for (const [index, [, block = '']] of blocks.entries()) {
  test(`docs/scep.md: block ${index + 1} of ${blocks.length} runs as it stands`, async () => {
    const printed = await shell(block);
    if (block.includes('openssl verify')) assert.match(printed, /: OK/);
    if (block.includes('--scepca')) assert.match(printed, /RA cert is trusted/);
  });
}
