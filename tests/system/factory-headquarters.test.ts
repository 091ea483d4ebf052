import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromPem, toPem } from '@keystead/core/bytes';
import { certSha256, generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { formatFactoryRequest, parseCommission } from '@keystead/core/lifecycle';
import { formatVerifierKey } from '@keystead/core/log';
import { certificationRequest, readCertificate } from '@keystead/core/x509';
import { keystead, ok, openssl } from '../interop/foreign.ts';
import { Deployment } from './deployment.ts';

let deployment: Deployment;
let commission: string;
const path = (name: string): string => join(deployment.folder, name);

before(async () => {
  deployment = await Deployment.start();
  writeFileSync(path('request.json'), await request('berlin-1'));
});
after(async () => {
  assert.deepEqual(deployment.deaths, []);
  await deployment.stop();
});

/** The request of a node whose keys nobody needs again. */
async function request(factory: string): Promise<string> {
  const csr = async (name: string) => {
    const key = generateSoftwareKey('P-256');
    return toPem('CERTIFICATE REQUEST', await certificationRequest(name, softwareSigner('P-256', key.pkcs8)));
  };
  return formatFactoryRequest({
    version: 1,
    factory,
    createdAt: new Date().toISOString(),
    certificateRequests: {
      manufacturing: await csr('ca-manufacturing'),
      server: await csr('ca-server'),
      evidence: await csr('evidence'),
    },
    log: {
      vkey: formatVerifierKey(`${factory}.example/log`, 'ed25519', generateSoftwareKey('Ed25519').spki),
      cosignVkey: formatVerifierKey(`${factory}.example/time`, 'cosignature-v1', generateSoftwareKey('Ed25519').spki),
    },
    custody: 'sealed',
    counter: 'none',
  });
}

async function factory(args: readonly string[], status = 0): Promise<string> {
  const done = await keystead(['factory', ...args, '--data', deployment.layout.data]);
  assert.equal(done.status, status, done.stdout + done.stderr);
  return done.stdout + done.stderr;
}

const order = (act: string, name: string, out: string, ...more: string[]): Promise<string> => {
  const said = ['--device-ids', 'B1-', '--server-name', 'berlin-1.example', '--request', path('request.json')];
  return factory([act, name, ...said, '--out', path(out), ...more]);
};
const carryOut = (file: string, status = 0): Promise<string> =>
  factory(['commission', path(file), '--request', path('request.json'), '--out', path('commission.json')], status);

test('TEST-KEY-17 people sign the order of a factory with their own keys, and headquarters carries out what its quorum signed', async () => {
  assert.match(await order('order', 'berlin-1', 'order.jsonl', '--life', '30d'), /sha256 [0-9a-f]{64}/);
  // The one who asks alone, and somebody who may not approve.
  assert.match(await carryOut('order.jsonl', 3), /commission\.too-few/);
  await factory(['approve', path('order.jsonl'), '--as', 'line-1'], 3);
  await factory(['approve', path('order.jsonl'), '--as', 'architect']);
  assert.match(await carryOut('order.jsonl'), /berlin-1 commissioned, commission 1/);
  commission = readFileSync(path('commission.json'), 'utf8');
  await carryOut('order.jsonl');
  assert.equal(readFileSync(path('commission.json'), 'utf8'), commission);
  assert.match(await factory(['list']), /berlin-1 +commissioned .* B1- +0 +sealed +none/);
  const { content } = parseCommission(commission);
  for (const ca of ['root', 'manufacturing', 'server', 'operator', 'operational']) assert.ok(content.crls[ca], ca);
});

test('openssl verifies the sub-CA under the root, with the CRL of the CA above it, and the address of its own list is served [openssl: X.509 verify chain of a factory]', async () => {
  const { issued, certificates, crls } = parseCommission(commission).content;
  writeFileSync(path('sub.pem'), issued.manufacturing);
  writeFileSync(path('above.pem'), certificates.manufacturing);
  writeFileSync(path('lists.pem'), toPem('X509 CRL', Buffer.from(crls.manufacturing ?? '', 'base64')));
  const root = join(deployment.layout.trust, 'root.pem');
  const cas = ['-CAfile', root, '-untrusted', path('above.pem'), '-crl_check', '-CRLfile', path('lists.pem')];
  assert.match(await openssl('verify', '-x509_strict', ...cas, path('sub.pem')), /: OK/);
  const { host, ports } = deployment.world.config;
  const base = `http://${host}:${ports.http}`;
  await ok('curl', ['--silent', '--fail', '--output', path('factory.crl'), `${base}/crl/factory.berlin-1.crl`]);
  const text = await openssl('crl', '-inform', 'DER', '-in', path('factory.crl'), '-noout', '-text');
  assert.match(text, /X509v3 Issuing Distribution Point: critical[\s\S]*factory\.berlin-1\.crl[\s\S]*Indirect CRL/);
  await ok('curl', ['--silent', '--fail', '--output', path('factory.cer'), `${base}/ca/factory.berlin-1.cer`]);
  const [der] = fromPem('CERTIFICATE', issued.manufacturing);
  assert.ok(der);
  assert.equal(certSha256(new Uint8Array(readFileSync(path('factory.cer'))) as typeof der), certSha256(der));
});

test('each order stands in the log, and a key of the factory is known to the records: no start takes it for abandoned', async () => {
  const { issued } = parseCommission(commission).content;
  const [der] = fromPem('CERTIFICATE', issued.manufacturing);
  assert.ok(der);
  const { serial } = readCertificate(der as Parameters<typeof readCertificate>[0]);
  const shown = await keystead([
    ...['revoke', '--serial', serial, '--reason', 'cessationOfOperation', '--dry-run'],
    ...['--data', deployment.layout.data],
  ]);
  assert.equal(shown.status, 0, shown.stderr);
  const log = await keystead(['audit', 'verify', '--data', deployment.layout.data]);
  assert.equal(log.status, 0, log.stdout + log.stderr);
});

/** What `keystead verify` says of the factories. */
async function checked(): Promise<Map<string, string>> {
  const run = await keystead(['verify', '--data', deployment.layout.data, '--json']);
  const found = JSON.parse(run.stdout) as { id: string; verdict: string; evidence: string }[];
  const bad = found.filter(({ verdict }) => verdict !== 'passed' && verdict !== 'weak');
  assert.deepEqual(bad, []);
  return new Map(found.map(({ id, verdict, evidence }) => [id, `${verdict}: ${evidence}`]));
}

/** The keys of the factory, as the inventory has them. */
async function keysOf(owner: string): Promise<string[]> {
  const run = await keystead(['keys', 'list', '--owner', owner, '--json', '--data', deployment.layout.data]);
  assert.equal(run.status, 0, run.stderr);
  const keys = JSON.parse(run.stdout) as { purpose: string; custody: string; state: string }[];
  return keys.map(({ purpose, custody, state }) => `${purpose} ${custody} ${state}`).sort();
}

test('headquarters verifies its factories, and its inventory has their keys with where the request says they are', async () => {
  assert.deepEqual(await keysOf('factory:berlin-1'), [
    'evidence-signer sealed-file active',
    'manufacturing-ca sealed-file active',
    'server-ca sealed-file active',
  ]);
  const found = await checked();
  assert.match(found.get('factories.sub-cas') ?? '', /^(passed|weak): 1 work, 0 are closed/);
  assert.match(found.get('factories.reconciled') ?? '', /^passed: berlin-1: 0 units, to 0/);
});

test('a factory is renewed and closed by orders of the same kind, and its name is never used again', async () => {
  await order('renew', 'berlin-1', 'renew.jsonl', '--life', '60d');
  await factory(['approve', path('renew.jsonl'), '--as', 'approver']);
  assert.match(await carryOut('renew.jsonl'), /commission 2/);
  await order('close', 'berlin-1', 'close.jsonl', '--revoke');
  await factory(['approve', path('close.jsonl'), '--as', 'architect']);
  assert.match(await carryOut('close.jsonl'), /closed, revoked, commission 3/);
  await order('order', 'berlin-1', 'again.jsonl');
  await factory(['approve', path('again.jsonl'), '--as', 'architect']);
  assert.match(await carryOut('again.jsonl', 3), /commission\.name-used/);
  const show = await factory(['show', 'berlin-1', '--commission', path('last.json')]);
  assert.match(show, /1 +commission[\s\S]*2 +renew[\s\S]*3 +close/);
  assert.equal(parseCommission(readFileSync(path('last.json'), 'utf8')).content.act, 'close');
  // Its keys sign nothing more, and no one is to be warned of their end.
  assert.deepEqual(
    new Set((await keysOf('factory:berlin-1')).map((one) => one.split(' ')[2])),
    new Set(['deactivated']),
  );
  assert.match((await checked()).get('factories.sub-cas') ?? '', /^passed: 0 work, 1 are closed/);
});
