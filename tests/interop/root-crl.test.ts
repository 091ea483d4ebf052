import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CrlCache, verifyPeer } from '@keystead/agent';
import { type DerCertificate, fromPem } from '@keystead/core/bytes';
import { readRevocationList } from '@keystead/core/x509';
import { systemClock } from 'keystead/clock/system.ts';
import { Deployment } from '../system/deployment.ts';
import { Bench, keystead } from './foreign.ts';

/** The indirect CRL of the root in a whole deployment: how it is served, and what the revocation of a CA does at once. */
let bench: Bench;
let signer: string;
let ldevid: string;
let side: string;

before(async () => {
  bench = new Bench(await Deployment.start({ ldevidSeconds: 3600 }));
  signer = join(bench.deployment.layout.trust, 'root-crl-signer.pem');
  ldevid = (await bench.enrol(await bench.provision('TRY-0040'), 'simpleenroll', 'root-crl')).certificate;
  side = join(bench.deployment.folder, 'side');
  const cas = [bench.root, bench.ca('operational'), signer].map((path) => readFileSync(path, 'utf8')).join('');
  writeFileSync(`${side}-cas.pem`, cas);
});
after(async () => {
  assert.deepEqual(bench.deployment.deaths, []);
  await bench.deployment.stop();
});

const data = (): string[] => ['--data', bench.deployment.layout.data];
const der = (path: string): DerCertificate => fromPem('CERTIFICATE', readFileSync(path, 'utf8'))[0] as DerCertificate;

/** `keystead crl sync` of a verifying side that reads a file, and what openssl then says of the device. */
async function synced(): Promise<{ status: number; said: string; verdict: string }> {
  const flags = ['--ca', `${side}-cas.pem`, '--out', `${side}-crls.pem`];
  const { status, stdout, stderr } = await keystead([
    ...['crl', 'sync', ...flags, '--url', bench.url('/crl/operational.crl')],
  ]);
  const by = ['-CAfile', bench.root, '-untrusted', bench.ca('operational'), '-CRLfile', `${side}-crls.pem`];
  return { status: status ?? -1, said: stdout + stderr, verdict: openssl('verify', '-crl_check_all', ...by, ldevid) };
}

function openssl(...args: string[]): string {
  try {
    return execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    return String((error as { stderr: unknown }).stderr);
  }
}

/** What `verifyPeer` of the agent says of the device, with the status of each certificate of the path. */
async function judged(): Promise<string> {
  const crls = new CrlCache({ clock: systemClock });
  try {
    const verdict = await verifyPeer([der(ldevid)], {
      ...{ anchors: [der(bench.root)], intermediates: [der(bench.ca('operational')), der(signer)] },
      ...{ clock: systemClock, extKeyUsage: 'clientAuth', expected: { device: true }, crls, cover: 'path' },
    });
    return verdict.ok ? 'good' : `${verdict.rule} ${verdict.depth}`;
  } finally {
    crls.close();
  }
}

test('TEST-KEY-08 the indirect CRL of the root is served as other CRLs are: by ETag, cacheable, as PEM too, with the certificate of its signer [curl: CRL fetch]', async () => {
  const url = bench.url('/crl/root-indirect.crl');
  const head = execFileSync('curl', ['--silent', '--fail', '--head', url], { encoding: 'utf8' });
  const etag = /^etag: (.*)\r$/im.exec(head)?.[1] ?? '';
  assert.match(head, /^cache-control: .*max-age=\d+/im);
  assert.match(head, /^content-type: application\/pkix-crl/im);
  const code = ['--silent', '--output', '/dev/null', '--write-out', '%{http_code}', '--header'];
  assert.equal(execFileSync('curl', [...code, `If-None-Match: ${etag}`, url], { encoding: 'utf8' }), '304');
  const list = execFileSync('curl', ['--silent', '--fail', bench.url('/crl/root-indirect.pem')]);
  writeFileSync(`${side}-list.pem`, list);
  assert.match(openssl('crl', '-in', `${side}-list.pem`, '-noout', '-text'), /Indirect CRL/);
  const served = execFileSync('curl', ['--silent', '--fail', bench.url('/ca/root-crl-signer.cer')]);
  assert.deepEqual(new Uint8Array(served), new Uint8Array(der(signer)));
});

test('TEST-KEY-07 before anything is revoked each verifying side lets the device in, and keystead verify has checked the list [openssl: CRL verify]', async () => {
  const { status, said, verdict } = await synced();
  assert.equal(status, 0, said);
  assert.match(verdict, /: OK/);
  assert.equal(await judged(), 'good');
  const checked = await keystead(['verify', ...data(), '--json']);
  assert.match(checked.stdout, /"revocation\.root-crl"[\s\S]{0,400}"passed"/);
});

test('TEST-KEY-08 a CA that a quorum revokes is on the list at once, and every verifying side refuses what it issued [openssl: CRL indirect, CRL verify]', async () => {
  const file = `${side}.statements`;
  const proposed = await keystead([
    ...['revoke-ca', 'propose', 'operational', '--reason', 'cACompromise', '--out', file],
    ...['--invalid-since', '2026-01-01T00:00:00Z', ...data()],
  ]);
  assert.equal(proposed.status, 0, proposed.stderr);
  const alone = await keystead(['revoke-ca', 'send', '--in', file, ...data()]);
  assert.equal(alone.status, 3);
  assert.match(alone.stderr, /0 of 1 approvals/);
  assert.equal((await synced()).status, 0, 'nothing has happened');
  const approved = await keystead(['revoke-ca', 'approve', '--in', file, ...data()]);
  assert.equal(approved.status, 0, approved.stderr);
  const sent = await keystead(['revoke-ca', 'send', '--in', file, ...data()]);
  assert.match(sent.stdout, /operational is revoked since .*; CRL \d+ of the root names it/);
  const bytes = execFileSync('curl', ['--silent', '--fail', bench.url('/crl/root-indirect.crl')]);
  assert.equal(readRevocationList(new Uint8Array(bytes)).size, 1);
  writeFileSync(`${side}-list.der`, bytes);
  execFileSync('openssl', ['crl', '-inform', 'DER', '-in', `${side}-list.der`, '-out', `${side}-list.pem`]);
  const by = ['-CAfile', bench.root, '-untrusted', signer, '-CRLfile', `${side}-list.pem`];
  const direct = openssl('verify', '-extended_crl', '-crl_check', ...by, bench.ca('operational'));
  assert.match(direct, /certificate revoked/);
  assert.equal(await judged(), 'revoked 1');
  const { status, said, verdict } = await synced();
  assert.equal(status, 3);
  assert.match(said, /crl-sync\.withdrawn/);
  assert.match(verdict, /unable to get certificate CRL/);
  // The device asks for another certificate, and nobody believes the one that it has.
  await assert.rejects(bench.enrol(await bench.provision('TRY-0041'), 'simpleenroll', 'root-crl-late'));
});

test('TEST-KEY-08 the revocation outlives a restart of both services, and stands in the log once', async () => {
  const { deployment } = bench;
  await deployment.stop(true);
  bench = new Bench(await Deployment.at(deployment.folder, { ldevidSeconds: 3600 }));
  const bytes = execFileSync('curl', ['--silent', '--fail', bench.url('/crl/root-indirect.crl')]);
  assert.equal(readRevocationList(new Uint8Array(bytes)).size, 1);
  const again = await keystead(['revoke-ca', 'send', '--in', `${side}.statements`, ...data()]);
  assert.match(again.stdout, /operational is revoked since/);
  // The log's entries are canonical JSON, one after another; partial tiles hold an entry several times.
  const entry = '"seq":[0-9]*,"subject":{"issuer":"operational"},"time":"[^"]*","type":"ca.revoked"';
  const found = execFileSync('grep', ['-raoh', entry, bench.deployment.layout.log], { encoding: 'utf8' });
  assert.equal(new Set(found.trim().split('\n')).size, 1);
  assert.match((await keystead(['audit', 'verify', ...data()])).stdout, /PROVEN/);
});
