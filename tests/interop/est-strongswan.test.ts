import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Deployment } from '../system/deployment.ts';
import { Bench, type ForeignDevice, openssl, run } from './foreign.ts';

let bench: Bench;
let device: ForeignDevice;
let ldevid: ForeignDevice;

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600 }));
});
after(async () => {
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop();
});

/** `pki` writes what it makes to standard output, DER or PEM: into this file. Gives what it told on the way. */
function pki(args: readonly string[], output: string): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('pki', args, { encoding: 'buffer', timeout: 20_000 }, (error, stdout, stderr) => {
      const told = stderr.toString();
      if (error === null) {
        writeFileSync(output, stdout);
        resolve(told);
      } else reject(new Error(`pki ${args.join(' ')}: ${error.message}\n${told}`));
    });
  });
}

const server = (): string => bench.deployment.world.httpsUrl;
const trust = (): string[] => [
  '--cacert',
  bench.root,
  '--cacert',
  bench.ca('server'),
  '--cacert',
  bench.ca('operational'),
];

/** A key and a request by strongSwan. */
async function request(name: string, deviceId: string): Promise<{ key: string; csr: string }> {
  const key = bench.path(`${name}.key`);
  const csr = bench.path(`${name}.csr`);
  await pki(['--gen', '--type', 'ecdsa', '--size', '256', '--outform', 'pem'], key);
  const dn = `O=Keystead, CN=${deviceId}, serialNumber=${deviceId}`;
  await pki(['--req', '--in', key, '--type', 'ecdsa', '--dn', dn, '--outform', 'pem'], csr);
  return { key, csr };
}

/** Asks EST for a certificate with `pki --est`, as the device shows itself by `shown`. */
async function est(name: string, shown: ForeignDevice): Promise<ForeignDevice> {
  const { key, csr } = await request(name, shown.id);
  const certificate = bench.path(`${name}.pem`);
  const identity = ['--cert', shown.certificate, '--key', shown.key];
  const told = await pki(
    ['--est', '--url', server(), '--in', csr, ...trust(), ...identity, '--outform', 'pem'],
    certificate,
  );
  assert.match(told, /Issued certificate is trusted/);
  return { id: shown.id, key, certificate };
}

test('pki --estca fetches the anchor and the CAs, and trusts each [strongSwan pki: EST cacerts]', async () => {
  const out = bench.path('estca');
  const args = ['--estca', '--url', server(), ...trust().slice(0, 4), '--caout', out, '--outform', 'pem', '--force'];
  const { status, stdout, stderr } = await run('pki', args);
  const told = stdout + stderr;
  assert.equal(status, 0, told);
  assert.match(told, /Root CA equals trusted TLS Root CA/);
  assert.equal(told.match(/Sub CA cert is trusted/g)?.length, 2);
  const fingerprint = (path: string): Promise<string> =>
    openssl('x509', '-in', path, '-noout', '-fingerprint', '-sha256');
  assert.equal(await fingerprint(`${out}.pem`), await fingerprint(bench.root));
  const issuing = await Promise.all([`${out}-1.pem`, `${out}-2.pem`].map(fingerprint));
  assert.deepEqual(
    issuing.sort(),
    (await Promise.all([bench.ca('server'), bench.ca('operational')].map(fingerprint))).sort(),
  );
});

test('a key and a request of strongSwan get an IDevID at the station', async () => {
  const { key, csr } = await request('TRY-0003', 'TRY-0003');
  device = await bench.provisionRequest('TRY-0003', readFileSync(csr, 'utf8'), key);
  await bench.verify(device.certificate, 'manufacturing');
});

test('pki --est enrols with the IDevID [strongSwan pki: EST simpleenroll]', async () => {
  ldevid = await est('ldevid', device);
  await bench.verify(ldevid.certificate, 'operational');
  const text = await openssl('x509', '-in', ldevid.certificate, '-noout', '-text');
  assert.match(text, /URI:urn:keystead:device:TRY-0003/);
});

test('pki --est re-enrols with the LDevID and a new key [strongSwan pki: EST simplereenroll]', async () => {
  const next = await est('next', ldevid);
  await bench.verify(next.certificate, 'operational');
  assert.notEqual(await bench.serial(next.certificate), await bench.serial(ldevid.certificate));
  ldevid = next;
});

test('pki --verify accepts the certificate under the offline root [strongSwan pki: X.509 path validation]', async () => {
  const cas = ['--cacert', bench.root, '--cacert', bench.ca('operational')];
  const { status, stdout, stderr } = await run('pki', ['--verify', '--in', ldevid.certificate, ...cas]);
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout + stderr, /certificate trusted/);
});

test('pki --est is refused without a certificate, for another device, and for a used key', async () => {
  const asked = async (csr: string, identity: string[]): Promise<string> => {
    const { status, stderr } = await run('pki', ['--est', '--url', server(), '--in', csr, ...trust(), ...identity]);
    assert.notEqual(status, 0);
    return stderr;
  };
  const identity = ['--cert', device.certificate, '--key', device.key];
  assert.match(await asked((await request('anonymous', device.id)).csr, []), /HTTP 401/);
  assert.match(await asked((await request('foreign', 'TRY-0098')).csr, identity), /HTTP 403/);
  assert.match(await asked(bench.path('TRY-0003.csr'), identity), /HTTP 409/);
});
