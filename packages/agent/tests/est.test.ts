import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { certsOnly, parseCsr } from '@keystead/core/x509';
import fc from 'fast-check';
import { acceptIssued, type DeviceState, EstClient, EstRefusal, keepCaCertificates, makeKeyAndCsr } from '../index.ts';
import { TestEstServer } from './est-server.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { provisionedDevice } from './provisioned-device.ts';
import { cn, TestCa, USAGE } from './test-ca.ts';

const fleet = new Fleet();
let server: TestEstServer;
let state: DeviceState;
let remove: () => void;
before(async () => {
  server = await TestEstServer.start(fleet);
  ({ state, remove } = await provisionedDevice(fleet));
});
after(async () => {
  remove();
  await server.stop();
});

const client = (more: Partial<ConstructorParameters<typeof EstClient>[0]> = {}): EstClient =>
  new EstClient({ url: server.url, clock: fleet.clock, anchors: () => state.anchors, timeoutMs: 3000, ...more });
const failsWith = (code: string, field?: string) => (error: unknown) =>
  error instanceof KeysteadError && error.code === code && (field === undefined || error.field === field);
const csrOf = async (deviceId = 'pump-1'): Promise<Awaited<ReturnType<typeof makeKeyAndCsr>>['csr']> =>
  (await makeKeyAndCsr(deviceId, 'P-256')).csr;

test('a device enrols by its IDevID and re-enrols by its LDevID', async () => {
  const first = await client().enrol(state.identity('idevid'), (await state.beginKey('ldevid')).csr);
  assert.ok(first.status === 'issued');
  // The server sends the leaf alone: the CA comes from cacerts.
  assert.throws(
    () => acceptIssued(state, first.certificates, fleet.clock),
    failsWith('enrol.certificate-refused', 'path'),
  );
  keepCaCertificates(state, await client().caCertificates(), fleet.clock);
  acceptIssued(state, first.certificates, fleet.clock);
  state.promote();
  const second = await client().reenrol(state.identity('current'), (await state.beginKey('ldevid')).csr);
  assert.ok(second.status === 'issued');
  acceptIssued(state, second.certificates, fleet.clock);
  state.promote();
  const [request] = server.requests.slice(-1);
  assert.equal(request?.path, '/.well-known/est/simplereenroll');
  assert.match(request?.body ?? '', /^[A-Za-z0-9+/=\r\n]+$/);
  assert.match(request?.client ?? '', /Test Operational CA/);
});

test('cacerts adds no trust: a CA that does not chain to the pinned anchor is passed over', () => {
  const stranger = TestCa.root('Stranger', fleet.start, fleet.end);
  keepCaCertificates(
    state,
    [stranger.certificate, stranger.below('Stranger CA').certificate, fleet.operational.certificate],
    fleet.clock,
  );
  assert.deepEqual(state.intermediates, [fleet.operational.certificate]);
  assert.deepEqual(state.anchors, [fleet.root.certificate]);
});

test('a server of another hierarchy is refused before anything is sent', async () => {
  const other = await TestEstServer.start(new Fleet());
  try {
    await assert.rejects(
      client({ url: other.url }).enrol(state.identity('idevid'), await csrOf()),
      failsWith('peer.refused'),
    );
    assert.equal(other.requests.length, 0);
  } finally {
    await other.stop();
  }
});

test('a server whose certificate is for another host, or has ended, is refused by that rule', async () => {
  const elsewhere = await TestEstServer.start(fleet, 'elsewhere.example');
  try {
    await assert.rejects(client({ url: elsewhere.url }).caCertificates(), failsWith('peer.refused', 'name'));
    // The certificate is for the name, not for the address behind it.
    await assert.rejects(
      client({ url: `https://127.0.0.1:${server.port}` }).caCertificates(),
      failsWith('peer.refused', 'name'),
    );
    const late = { now: () => new Date(fleet.end.getTime() + 1000) };
    await assert.rejects(client({ clock: late }).caCertificates(), failsWith('peer.refused', 'expired'));
    assert.equal(elsewhere.requests.length, 0);
  } finally {
    await elsewhere.stop();
  }
});

test('a refusal carries the code and the text of the server', async () => {
  server.mishaps.push({
    kind: 'answer',
    status: 409,
    body: 'key.already-used: a key belongs to one device\nrequest: 7\n',
  });
  await assert.rejects(client().enrol(state.identity('idevid'), await csrOf()), (error: unknown) => {
    assert.ok(error instanceof EstRefusal);
    assert.equal(error.status, 409);
    assert.equal(error.serverCode, 'key.already-used');
    assert.equal(error.serverText, 'key.already-used: a key belongs to one device request: 7');
    assert.equal(error.isPassing, false);
    return true;
  });
  server.mishaps.push({ kind: 'answer', status: 400, body: '{"error":{"code":"csr.not-der","message":"x"}}' });
  await assert.rejects(client().enrol(state.identity('idevid'), await csrOf()), { serverCode: 'csr.not-der' });
  server.mishaps.push({ kind: 'answer', status: 502, body: '<html>\u001b[31mBad gateway' });
  await assert.rejects(client().enrol(state.identity('idevid'), await csrOf()), (error: unknown) => {
    assert.ok(error instanceof EstRefusal && error.isPassing && error.serverCode === undefined);
    assert.ok(!error.message.includes('\u001b'));
    return true;
  });
  await assert.rejects(client().enrol(state.identity('idevid'), await csrOf('pump-2')), {
    serverCode: 'csr.subject-mismatch',
  });
  await assert.rejects(client().reenrol(state.identity('idevid'), await csrOf()), { serverCode: 'est.reenrol' });
});

test('an answer that is no certs-only message is refused, whatever it is', async () => {
  const csr = await csrOf();
  const certs = { 'content-type': 'application/pkcs7-mime' };
  const answers: { status: number; headers: Record<string, string>; body: string }[] = [
    { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' },
    { status: 200, headers: certs, body: '' },
    { status: 200, headers: certs, body: '%%%' },
    { status: 200, headers: certs, body: toBase64(Buffer.from('not DER')) },
    { status: 200, headers: certs, body: toBase64(certsOnly([fleet.root.certificate]).subarray(0, 100)) },
  ];
  for (const answer of answers) {
    server.mishaps.push({ kind: 'answer', ...answer });
    await assert.rejects(
      client().enrol(state.identity('idevid'), csr),
      failsWith('est.malformed'),
      JSON.stringify(answer),
    );
  }
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      server.mishaps.push({ kind: 'answer', status: 200, headers: certs, body: toBase64(bytes) });
      await assert.rejects(client().enrol(state.identity('idevid'), csr), failsWith('est.malformed'));
    }),
    { numRuns: 40 },
  );
});

test('a server that is not there is told apart from one that refuses', async () => {
  await assert.rejects(client({ url: 'https://localhost:1' }).caCertificates(), failsWith('peer.unreachable'));
  assert.throws(() => client({ url: server.url.replace('https', 'http') }), failsWith('est.malformed', 'url'));
});

test('a certificate with another key, another name, of another CA or already ended is not accepted, and changes nothing', async () => {
  const { csr, keyId } = await state.beginKey('ldevid');
  const foreign = new Fleet();
  const right = deviceCertificate(fleet, 'ldevid', csr);
  const wrong: [string, readonly DerCertificate[]][] = [
    ['key', deviceCertificate(fleet, 'ldevid', await csrOf())],
    ['key', []],
    ['path', deviceCertificate(foreign, 'ldevid', csr)],
    ['path', deviceCertificate(fleet, 'ldevid', csr, { seconds: -10 })],
    ['certificate', [Uint8Array.of(1, 2, 3) as DerCertificate]],
  ];
  for (const [field, certificates] of wrong) {
    assert.throws(() => acceptIssued(state, certificates, fleet.clock), failsWith('enrol.certificate-refused', field));
  }
  const { spki } = parseCsr(csr);
  const named = (id: string, usage: string): DerCertificate =>
    fleet.operational.issue({
      subject: cn(id),
      spki,
      notBefore: fleet.start,
      notAfter: fleet.end,
      san: [[6, `urn:keystead:device:${id}`]],
      extKeyUsage: [usage],
    });
  assert.throws(
    () => acceptIssued(state, [named('pump-2', USAGE.clientAuth)], fleet.clock),
    failsWith('enrol.certificate-refused', 'name'),
  );
  assert.throws(
    () => acceptIssued(state, [named('pump-1', USAGE.serverAuth)], fleet.clock),
    failsWith('enrol.certificate-refused', 'path'),
  );
  assert.equal(state.pending?.keyId, keyId);
  assert.equal(state.credential('pending'), undefined);
  acceptIssued(state, right, fleet.clock);
});
