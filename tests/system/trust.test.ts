import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DerCertificate, type DerSpki, fromBase64, fromPem, toPem } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { takeBundle, verifyBundleJws } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { Bench, type ForeignDevice, keystead } from '../interop/foreign.ts';
import { Deployment } from './deployment.ts';

/** docs/trust-bundle.md, typed as it stands; then what serve published, read by readers that are not ours. */
const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const page = readFileSync(join(PROJECT, 'docs/trust-bundle.md'), 'utf8');
const blocks = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
const reader = (name: string): string => join(PROJECT, 'tests/interop', name);

let deployment: Deployment;
let bench: Bench;
let device: ForeignDevice;

before(async () => {
  deployment = await Deployment.start({ dataName: 'keystead-data' });
  bench = new Bench(deployment);
  const tools = bench.path('tools');
  mkdirSync(tools);
  const bin = join(PROJECT, 'packages/keystead/bin/keystead.mjs');
  const script = `#!/bin/sh\n[ "$1" = keystead ] || exit 2\nshift\nexec "${process.execPath}" "${bin}" "$@"\n`;
  writeFileSync(join(tools, 'npx'), script);
  chmodSync(join(tools, 'npx'), 0o755);
  device = await bench.provision('TRY-0002');
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

function shell(script: string): Promise<string> {
  const env = { ...process.env, PATH: `${bench.path('tools')}:${process.env.PATH ?? ''}` };
  return new Promise((resolve, reject) => {
    const options = { cwd: deployment.folder, env, timeout: 600_000 };
    execFile('bash', ['--norc', '-euo', 'pipefail', '-c', script], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${script}\n${error.message}\n${stdout}\n${stderr}`));
    });
  });
}

async function restart(): Promise<void> {
  const { folder } = deployment;
  await deployment.stop(true);
  deployment = await Deployment.at(folder, { dataName: 'keystead-data' });
  bench = new Bench(deployment);
}

const trust = async (...args: string[]) => keystead(['trust', ...args, '--data', deployment.layout.data]);
const fetchTo = (path: string, name: string): Buffer => {
  execFileSync('curl', ['--silent', '--show-error', '--fail', '--output', bench.path(name), bench.url(path)]);
  return bench.read(name);
};
const index = (): { fleet: string; latest: number; signerChanges: number[] } =>
  JSON.parse(fetchTo('/trust/index.json', 'index.json').toString());

test('docs/trust-bundle.md: every block runs as it stands, and a deployment that never had bundles has its first', async () => {
  assert.equal(blocks.length, 3);
  await shell(blocks[0] ?? '');
  assert.equal(
    execFileSync('curl', ['-s', '-o', '/dev/null', '-w', '%{http_code}', bench.url('/trust/latest')]).toString(),
    '404',
  );
  await restart();
  assert.match(
    await shell(blocks[1] ?? ''),
    /bundle 1 is published[\s\S]*published +yes[\s\S]*key +second, P-256: signs/,
  );
  await shell(blocks[2] ?? '');
});

test('TEST-KEY-10 what serve published is read by the pages alone: a reader in Python takes bundle and filter apart, openssl verifies the signature, and a device takes it [openssl: COSE trust bundle] [python3: COSE trust bundle, Filter look-up] [curl: Trust bundle fetch]', async () => {
  const bundle = fetchTo('/trust/latest', 'bundle');
  const [signed, signature, key] = ['signed', 'signature', 'key.pem'].map((name) => bench.path(name));
  const { signers, version } = JSON.parse(readFileSync(join(deployment.folder, 'factory.json'), 'utf8')) as {
    version: number;
    signers: { spki: string; from: number; until: number }[];
  };
  assert.equal(version, index().latest);
  const told = execFileSync('python3', [
    '-B',
    reader('trust_bundle_reader.py'),
    bench.path('bundle'),
    signed ?? '',
    signature ?? '',
  ]);
  const { header, content } = JSON.parse(told.toString()) as Record<string, Record<string, unknown>>;
  const signer = signers
    .map(({ spki }) => fromBase64(spki) as DerSpki)
    .find((spki) => spkiSha256(spki) === header?.['4']);
  assert.ok(signer);
  writeFileSync(key ?? '', toPem('PUBLIC KEY', signer));
  const verify = ['pkeyutl', '-verify', '-rawin', '-digest', 'sha256', '-pubin', '-inkey', key ?? ''];
  const files = ['-in', signed ?? '', '-sigfile', signature ?? ''];
  assert.match(execFileSync('openssl', [...verify, ...files]).toString(), /Verified Successfully/);
  assert.deepEqual([content?.['2'], content?.['3']], ['pumps', version]);
  const known = {
    ...{ fleet: 'pumps', version: 0, sha256: '', firmware: [] },
    signers: signers.map(({ spki, ...window }) => ({ spki: fromBase64(spki) as DerSpki, ...window })),
  };
  const taken = takeBundle(bundle, known, new Date());
  assert.deepEqual(verifyBundleJws(fetchTo('/trust/latest.jws', 'jws').toString(), signer), taken.content);
  fetchTo(`/trust/filters/${content?.['10']}`, 'filter');
});

test('TEST-KEY-10 a device that is revoked is revoked in the next filter, without anybody asking for it [python3: Filter look-up]', async () => {
  const enrolled = await bench.enrol(device, 'simpleenroll', 'two');
  const { serial } = readCertificate(
    fromPem('CERTIFICATE', readFileSync(enrolled.certificate, 'latin1'))[0] as DerCertificate,
  );
  const issuer = spkiSha256(
    readCertificate(fromPem('CERTIFICATE', readFileSync(bench.ca('operational'), 'latin1'))[0] as DerCertificate).spki,
  );
  const says = (): string => {
    const chain: string[] = [];
    const bundle = bench.write('b', fetchTo('/trust/latest', 'latest'));
    const told = execFileSync('python3', [
      '-B',
      reader('trust_bundle_reader.py'),
      bundle,
      bench.path('s'),
      bench.path('g'),
    ]);
    let name = String((JSON.parse(told.toString()) as Record<string, Record<string, unknown>>).content?.['10']);
    for (;;) {
      const file = fetchTo(`/trust/filters/${name}`, name);
      chain.unshift(bench.path(name));
      if (file[5] === 0) break;
      name = file.subarray(30, 62).toString('hex');
    }
    return execFileSync('python3', ['-B', reader('filter_reader.py'), ...chain], { input: `${issuer} ${serial}\n` })
      .toString()
      .trim();
  };
  const before = index().latest;
  const early = await trust('filter');
  assert.equal(early.status, 3, early.stdout);
  assert.match(early.stderr, /trust-bundle\.too-soon/);
  const revoked = await keystead([
    ...['revoke', '--serial', serial, '--reason', 'keyCompromise', '--as', 'pki', '--data', deployment.layout.data],
  ]);
  assert.equal(revoked.status, 0, revoked.stderr);
  const asked = await trust('filter');
  // The tick of serve may have been first.
  if (asked.status !== 0) assert.match(asked.stderr, /trust-bundle\.too-soon/);
  assert.ok(index().latest > before);
  assert.equal(says(), '1');
});

test('a device reports what it goes by with its own certificate; nobody else does, and it cannot speak for another', async () => {
  const other = await bench.provision('TRY-0003');
  const hash = 'ab'.repeat(32);
  const report = (body: object, ...more: string[]) =>
    bench.curl(`${bench.api}/device/uptake`, [
      ...['--header', 'Content-Type: application/json', '--data-binary', JSON.stringify(body)],
      ...more,
    ]);
  const identity = ['--cert', other.certificate, '--key', other.key];
  const body = {
    bundle: { version: index().latest, sha256: hash },
    filter: hash,
    firmware: { product: 'KS-PUMP-1', version: '1.2.0', securityCounter: 3 },
  };
  assert.equal((await report(body, ...identity)).status, 204);
  assert.equal((await report({ bundle: null, filter: null, firmware: null }, ...identity)).status, 204);
  assert.equal((await report(body, ...identity)).status, 204);
  assert.equal((await report(body)).status, 401);
  assert.equal((await report({ ...body, deviceId: 'TRY-0001' }, ...identity)).status, 400);
  assert.equal((await report({ ...body, filter: 'no hash' }, ...identity)).status, 400);
  const json = ['--header', 'Content-Type: application/json', '--data-binary', JSON.stringify(body)];
  assert.equal((await bench.curlAs('pki', `${bench.api}/device/uptake`, json)).status, 403);
  const { stdout } = await trust('status', '--json');
  const { uptake, endingPins } = JSON.parse(stdout) as {
    uptake: { bundleVersion: number; devices: number }[];
    endingPins: unknown[];
  };
  assert.deepEqual(uptake, [{ bundleVersion: index().latest, devices: 1 }]);
  assert.deepEqual(endingPins, []);
});

test('an order whose approvals are missing, or that takes an anchor away, is refused and said why; nothing is published', async () => {
  const before = index().latest;
  const at = (name: string): string => join(deployment.folder, name);
  const content = JSON.parse(readFileSync(at('now.json'), 'utf8')) as { anchors: unknown[] };
  writeFileSync(at('less.json'), JSON.stringify({ ...content, anchors: content.anchors.slice(1) }));
  const asked = await trust('propose', at('less.json'), '--reason', 'a test', '--out', at('less.statements'));
  assert.equal(asked.status, 0, asked.stderr);
  assert.match(asked.stdout, /TAKES +anchors\[0\]: server .* is left out/);
  const alone = await trust('publish', '--in', at('less.statements'));
  assert.equal(alone.status, 3);
  assert.match(alone.stderr, /trust-order\.too-few/);
  assert.equal((await trust('approve', '--in', at('less.statements'))).status, 0);
  const stranding = await trust('publish', '--in', at('less.statements'));
  assert.equal(stranding.status, 3);
  assert.match(stranding.stderr, /trust-order\.strands/);
  assert.equal(index().latest, before);
});
