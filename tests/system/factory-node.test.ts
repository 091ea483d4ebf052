import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { type DerCertificate, fromPem, toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { certificationRequest, readCertificate } from '@keystead/core/x509';
import { factoryRequestPath } from 'keystead/keyd/factory/init.ts';
import { keystead } from '../interop/foreign.ts';
import { RunningNode } from './factory-node.ts';

/** The CRLs of headquarters, which can be cut off. */
const lists = new Map<string, Uint8Array>();
let link: Server;
let node: RunningNode;
before(async () => {
  link = createServer((request, response) => {
    const list = lists.get(request.url ?? '');
    response.statusCode = list === undefined ? 404 : 200;
    response.setHeader('Content-Type', 'application/pkix-crl');
    response.end(list === undefined ? undefined : Buffer.from(list));
  });
  await new Promise<void>((resolve) => link.listen(0, '127.0.0.1', resolve));
  const { port } = link.address() as AddressInfo;
  node = await RunningNode.start({ crl: `http://127.0.0.1:${port}/{ca}.crl` });
});
after(async () => {
  link?.closeAllConnections();
  link?.close();
  assert.deepEqual(node?.deaths, []);
  await node?.remove();
});

const csrOf = async (deviceId: string): Promise<string> => {
  const key = softwareSigner('P-256', generateSoftwareKey('P-256').pkcs8);
  return toPem('CERTIFICATE REQUEST', await certificationRequest(deviceId, key));
};
const errorOf = (body: unknown) => (body as { error?: { code: string; remedy?: string } }).error;

test('a node says at start and in its health what it is, and its TLS chain leads to the root of headquarters', async () => {
  const { status, body } = await node.ask('GET', '/healthz');
  assert.equal(status, 200);
  const { factory } = body as { factory: { name: string; commission: number; deviceIdPrefixes: string[] } };
  assert.deepEqual([factory.name, factory.commission, factory.deviceIdPrefixes], ['berlin-1', 1, ['B1-']]);
  // Written a moment after it is said.
  const said = /in the factory role: LDevIDs, operators, EST.*are at headquarters/;
  for (let tries = 0; tries < 50 && !said.test(node.log('serve')); tries += 1) await setTimeout(100);
  assert.match(node.log('serve'), said);
});

test('an operator of headquarters opens a batch and provisions a unit; openssl verifies the IDevID by the chain of the answer (TEST-KEY-17) [openssl: X.509 verify IDevID of a factory]', async () => {
  const lin = await node.lin();
  assert.deepEqual((await node.ask('GET', '/api/v1/whoami', lin)).body, {
    kind: 'operator',
    id: 'lin',
    roles: ['line-operator'],
  });
  const opened = await node.ask('POST', '/api/v1/batches', lin, { ticket: await node.ticket() });
  assert.equal(opened.status, 200, JSON.stringify(opened.body));
  const unit = { ticketId: 'batch-1', deviceId: 'B1-0001', line: 'line-1', csr: await csrOf('B1-0001') };
  const made = await node.ask('POST', '/api/v1/units', lin, unit);
  assert.equal(made.status, 200, JSON.stringify(made.body));
  const { certificate, chain } = made.body as { certificate: string; chain: string };
  assert.equal(fromPem('CERTIFICATE', chain).length, 3);
  const file = (name: string, text: string): string => {
    const path = join(node.folder, name);
    writeFileSync(path, text);
    return path;
  };
  const args = ['verify', '-x509_strict', '-CAfile', node.rootFile, '-untrusted', file('chain.pem', chain)];
  assert.match(execFileSync('openssl', [...args, file('idevid.pem', certificate)], { encoding: 'utf8' }), /: OK/);
  const again = await node.ask('POST', '/api/v1/units', lin, unit);
  assert.equal((again.body as { certificate: string }).certificate, certificate);
  // What travels with the device is a moment away: the published log must have its record.
  const { birthCertificate } = made.body as { birthCertificate: string };
  let born = await node.ask('GET', birthCertificate, lin);
  for (let tries = 0; tries < 100 && born.status === 503; tries += 1) {
    await setTimeout(100);
    born = await node.ask('GET', birthCertificate, lin);
  }
  assert.match((born.body as { birthCertificate: string }).birthCertificate, /^-----BEGIN CMS-----/);
  const outside = { ...unit, deviceId: 'B2-0001', csr: await csrOf('B2-0001') };
  const refused = await node.ask('POST', '/api/v1/units', lin, outside);
  assert.ok(refused.status >= 400);
});

test('what belongs to headquarters is refused with where to go: REST, EST, ACME, CMP', async () => {
  const lin = await node.lin();
  for (const [method, path] of [
    ['POST', '/api/v1/operator-certificates'],
    ['POST', '/api/v1/devices/B1-0001/decommission'],
    ['POST', '/api/v1/backups'],
    ['GET', '/api/v1/authorisations'],
    ['POST', '/.well-known/est/simpleenroll'],
    ['GET', '/acme/directory'],
    ['POST', '/.well-known/cmp'],
  ] as const) {
    const { status, body } = await node.ask(method, path, lin, method === 'POST' ? {} : undefined);
    assert.equal(status, 403, `${method} ${path}: ${JSON.stringify(body)}`);
    assert.equal(errorOf(body)?.code, 'factory.not-here', path);
    assert.match(errorOf(body)?.remedy ?? '', /headquarters/);
  }
  const told = (await node.ask('GET', '/api/v1/', lin)).body as { routes: string[][] };
  const paths = told.routes.map(([, path]) => path ?? '').join('\n');
  // What a line cannot be run without: its units and their ways to a key, its stations, and the way back of a count.
  for (const needed of ['units', 'unit-keys', 'attestations', 'chips', 'station-certificates', 'stations', 'recounts'])
    assert.match(paths, new RegExp(`/api/v1/${needed}\\b`));
  assert.doesNotMatch(paths, /operator-certificates|decommission|backups|revocations|authorisations/);
});

test('whoever is not an operator of headquarters is not let in: another key for the name, another CA, nobody', async () => {
  const lin = await node.lin();
  assert.equal((await node.ask('GET', '/api/v1/whoami')).status, 401);
  // By a CA of headquarters that certifies no people.
  const server = await node.headquarters.certificate(
    'operator',
    { person: 'lin' },
    node.headquarters.people.lin,
    'operational',
  );
  const other = await node.ask('GET', '/api/v1/whoami', { ...lin, certificate: server }).catch(() => ({ status: 401 }));
  assert.equal(other.status, 401);
});

test('an operator whom headquarters has revoked is out as soon as the link brings the list, and stays out without it', async () => {
  const { headquarters } = node;
  const revoked = await headquarters.operator('lin');
  const lin = await node.lin({ certificate: revoked });
  assert.equal((await node.ask('GET', '/api/v1/whoami', lin)).status, 200);
  headquarters.revoke('operator', revoked);
  lists.set('/operator.crl', await headquarters.crl('operator'));
  await node.down();
  await node.up();
  const out = async (): Promise<boolean> => {
    const { status, body } = await node.ask('GET', '/api/v1/whoami', lin);
    return status === 401 && errorOf(body)?.code === 'client.certificate-revoked';
  };
  // keyd hears first, serve within its next round of ten seconds.
  for (let tries = 0; tries < 60 && !(await out()); tries += 1) await setTimeout(500);
  assert.equal(await out(), true);
  lists.clear();
  assert.equal(await out(), true);
  assert.equal((await node.ask('GET', '/api/v1/whoami', await node.lin())).status, 200);
});

test('the history of a node verifies by its own log, and its status says how it stands', async () => {
  const data = ['--data', node.layout.data];
  const status = await keystead(['factory', 'status', ...data, '--json']);
  assert.equal(status.status, 0, status.stderr);
  const told = JSON.parse(status.stdout) as { state: string; factory: string; crls: { ca: string }[] };
  assert.deepEqual([told.factory, told.state, told.crls.length], ['berlin-1', 'open', 4]);
  // The unit of before: its consignment is made, and nobody is there to send it to.
  const lin = await node.lin();
  assert.equal((await node.ask('GET', '/api/v1/factory/outbox', lin)).status, 200);
  const renewal = await node.headquarters.commission(readFileSync(factoryRequestPath(node.layout)), {
    act: 'renew',
    number: 2,
  });
  writeFileSync(node.layout.waitingCommission, renewal);
  const said = (await keystead(['factory', 'status', ...data])).stdout;
  assert.match(said, /outbox +1 units wait, in 1 consignments, since \d{4}-.*; last receipt never/);
  assert.match(said, /RENEWAL +commission 2 waits: stop keyd/);
  const audit = await keystead(['audit', 'verify', ...data]);
  assert.equal(audit.status, 0, audit.stdout + audit.stderr);
  const found = await keystead(['audit', 'list', ...data, '--json']);
  if (found.status === 0) assert.match(found.stdout, /factory\.commissioned/);
  assert.match(readFileSync(join(node.layout.trust, 'log.vkey'), 'utf8'), /^keystead\.local\/factory\/berlin-1\+/);
  const own = readCertificate(
    fromPem('CERTIFICATE', readFileSync(join(node.layout.trust, 'manufacturing.pem'), 'utf8'))[0] as DerCertificate,
  );
  assert.equal(own.pathLength, 0);
});

test('keystead verify on a node runs what makes sense there, and nothing fails', async () => {
  const run = await keystead(['verify', '--data', node.layout.data, '--json']);
  const found = JSON.parse(run.stdout) as { id: string; verdict: string; evidence: string }[];
  // Of one user in a container, keyd's isolation is weak and says so.
  const bad = found.filter(({ verdict }) => verdict !== 'passed' && verdict !== 'weak');
  assert.deepEqual(bad, []);
  assert.ok(found.some(({ id, evidence }) => id === 'factory.commission' && /commission 1 of berlin-1/.test(evidence)));
});
