import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import type { DerCertificate } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import {
  connectMutual,
  createTlsServer,
  type DeviceIdentity,
  OcspClient,
  type OcspOptions,
  type PeerRules,
  type PeerVerdict,
  peerCertificates,
  verifyPeer,
} from '../index.ts';
import { Fleet } from './fleet.ts';
import { TestResponder } from './responder.ts';
import { type CertificateWish, cn, pkcs8Of, type TestCa, testKey, USAGE } from './test-ca.ts';

const fleet = new Fleet();
let responder: TestResponder;
before(async () => {
  responder = await TestResponder.start(fleet.operational, fleet.clock);
});
after(() => responder.stop());

/** An identity as the agent has them, made by the test; a device's unless `wish` says otherwise. */
function identity(ca: TestCa, wish: Partial<CertificateWish> = {}): DeviceIdentity {
  const key = testKey();
  const certificate = ca.issue({
    subject: cn('pump-1'),
    spki: key.spki,
    notBefore: fleet.clock.now(),
    notAfter: new Date(fleet.clock.now().getTime() + 90_000),
    san: [[6, 'urn:keystead:device:pump-1']],
    extKeyUsage: [USAGE.clientAuth],
    ocspUrl: responder.url,
    ...wish,
  });
  return { deviceId: 'pump-1', certificate, chain: ca.chain, withKey: (use) => use(pkcs8Of(key.privateKey)) };
}

const forServer = (): Partial<CertificateWish> => ({
  subject: cn('localhost'),
  san: [[2, 'localhost']],
  extKeyUsage: [USAGE.serverAuth],
});
const ocsp = (options: Partial<OcspOptions> = {}): OcspClient =>
  new OcspClient({ clock: fleet.clock, timeoutMs: 300, ...options });
const rules = (client: OcspClient | undefined): Omit<PeerRules, 'extKeyUsage' | 'expected'> => ({
  clock: fleet.clock,
  anchors: [fleet.root.certificate],
  ocsp: client,
});

/** A TLS server that judges each client as an agent does and answers with the verdict. */
async function judgingServer(
  shown: DeviceIdentity,
  client: OcspClient | undefined,
): Promise<{ server: Server; port: number }> {
  const server = createTlsServer(shown, (options) =>
    createServer(options, async (socket: TLSSocket) => {
      socket.on('error', () => undefined);
      const verdict = await verifyPeer(peerCertificates(socket), {
        ...rules(client),
        extKeyUsage: 'clientAuth',
        expected: { device: true },
      });
      socket.end(JSON.stringify(verdict.ok ? { ok: true, deviceId: verdict.deviceId } : verdict));
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

/** Connects as `shown` and returns what the server judged. */
async function judgedByServer(shown: DeviceIdentity | undefined, client: OcspClient | undefined): Promise<PeerVerdict> {
  const { server, port } = await judgingServer(identity(fleet.operational, forServer()), client);
  try {
    const socket = await connectMutual({ host: 'localhost', port }, shown, rules(undefined));
    const parts: Buffer[] = [];
    for await (const part of socket) if (part instanceof Buffer) parts.push(part);
    return JSON.parse(Buffer.concat(parts).toString());
  } finally {
    server.close();
  }
}

/** Connects to a server that shows `shown`; resolves to the rule that refused it, or 'ok'. */
async function judgedByClient(shown: DeviceIdentity, client: OcspClient | undefined): Promise<string> {
  const { server, port } = await judgingServer(shown, undefined);
  try {
    const socket = await connectMutual({ host: 'localhost', port }, undefined, rules(client));
    socket.destroy();
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof KeysteadError && error.code === 'peer.refused', String(error));
    return error.field ?? '';
  } finally {
    server.close();
  }
}

const ruleOf = (verdict: PeerVerdict): string => (verdict.ok ? 'ok' : verdict.rule);
const serialOf = ({ certificate }: { certificate: DerCertificate }) => readCertificate(certificate).serial;

test('TEST-KEY-07 in a real TLS handshake a revoked device is refused by the server, and a revoked server by the device', async () => {
  const device = identity(fleet.operational);
  assert.deepEqual(await judgedByServer(device, ocsp()), { ok: true, deviceId: 'pump-1' });
  responder.statuses.set(serialOf(device), {
    status: 'revoked',
    revokedAt: fleet.clock.now(),
    reason: 'keyCompromise',
  });
  const verdict = await judgedByServer(device, ocsp());
  assert.ok(!verdict.ok && verdict.rule === 'revoked');
  assert.match(verdict.detail, /keyCompromise/);

  const shown = identity(fleet.operational, forServer());
  assert.equal(await judgedByClient(shown, ocsp()), 'ok');
  responder.statuses.set(serialOf(shown), { status: 'revoked', revokedAt: fleet.clock.now() });
  assert.equal(await judgedByClient(shown, ocsp()), 'revoked');
});

test('TEST-KEY-07 in a real TLS handshake an expired device is refused by the server, and an expired server by the device', async () => {
  const ended = {
    notBefore: new Date(fleet.clock.now().getTime() - 60_000),
    notAfter: new Date(fleet.clock.now().getTime() - 1000),
  };
  assert.equal(ruleOf(await judgedByServer(identity(fleet.operational, ended), ocsp())), 'expired');
  assert.equal(await judgedByClient(identity(fleet.operational, { ...forServer(), ...ended }), ocsp()), 'expired');
  const ahead = { notBefore: new Date(fleet.clock.now().getTime() + 60_000) };
  assert.notEqual(ruleOf(await judgedByServer(identity(fleet.operational, ahead), ocsp())), 'ok');
});

test('TEST-KEY-07 in a real TLS handshake a peer of unknown status past the tolerated window is refused, both ways round', async () => {
  try {
    for (const judge of ['server', 'device'] as const) {
      const judged = async (client: OcspClient, shown: DeviceIdentity): Promise<string> =>
        judge === 'server' ? ruleOf(await judgedByServer(shown, client)) : judgedByClient(shown, client);
      const shown = identity(fleet.operational, judge === 'server' ? {} : forServer());
      const tolerant = ocsp({ tolerateMs: 10_000 });
      // Never heard of before: no window to tolerate.
      responder.mode = 'fail';
      assert.equal(await judged(tolerant, shown), 'status-unavailable');
      responder.mode = 'answer';
      assert.equal(await judged(tolerant, shown), 'ok');
      responder.mode = 'silent';
      fleet.clock.advance(10);
      assert.equal(await judged(tolerant, shown), 'ok', 'within the window the last good answer holds');
      fleet.clock.advance(1);
      assert.equal(await judged(tolerant, shown), 'status-unavailable');
      responder.mode = 'answer';
      assert.equal(await judged(ocsp(), shown), 'ok');
      // The responder's own word that it does not know the certificate is no reason to wait.
      responder.statuses.set(serialOf(shown), { status: 'unknown' });
      assert.equal(await judged(tolerant, shown), 'status-unknown');
    }
  } finally {
    responder.mode = 'answer';
  }
});

test('a revoked peer stays revoked when the responder can no longer be reached', async () => {
  const device = identity(fleet.operational);
  const client = ocsp({ tolerateMs: 60_000 });
  responder.statuses.set(serialOf(device), { status: 'revoked', revokedAt: fleet.clock.now() });
  assert.equal(ruleOf(await judgedByServer(device, client)), 'revoked');
  responder.mode = 'fail';
  assert.equal(ruleOf(await judgedByServer(device, client)), 'revoked');
  responder.mode = 'answer';
});

test('an old good answer that is played back is not taken', async () => {
  const device = identity(fleet.operational);
  assert.equal(ruleOf(await judgedByServer(device, ocsp())), 'ok');
  responder.statuses.set(serialOf(device), { status: 'revoked', revokedAt: fleet.clock.now() });
  responder.mode = 'replay';
  assert.equal(ruleOf(await judgedByServer(device, ocsp())), 'status-unavailable');
  responder.mode = 'answer';
});

test('an answer is used again only for as long as the cache may, and one question at a time is asked', async () => {
  const device = identity(fleet.operational);
  const client = ocsp({ cacheMs: 500 });
  const before = responder.asked;
  const ask = () => client.status(device.certificate, fleet.operational.certificate);
  await Promise.all(Array.from({ length: 20 }, ask));
  assert.equal(responder.asked - before, 1);
  fleet.clock.advance(0.499);
  await ask();
  assert.equal(responder.asked - before, 1);
  fleet.clock.advance(0.001);
  await ask();
  assert.equal(responder.asked - before, 2);
  // A clock that went back says nothing of the answer's age.
  fleet.clock.advance(-3);
  await ask();
  assert.equal(responder.asked - before, 3);
  fleet.clock.advance(3);
});

test('each rule refuses by its own name: no certificate, other CA, other use, no device', async () => {
  assert.equal(ruleOf(await judgedByServer(undefined, undefined)), 'no-certificate');
  const other = new Fleet();
  assert.notEqual(ruleOf(await judgedByServer(identity(other.operational), undefined)), 'ok');
  assert.equal(
    ruleOf(await judgedByServer(identity(fleet.operational, { extKeyUsage: [USAGE.serverAuth] }), undefined)),
    'ext-key-usage',
  );
  assert.equal(
    ruleOf(await judgedByServer(identity(fleet.operational, { san: [[6, 'urn:keystead:person:ada']] }), undefined)),
    'name',
  );
  const idevid = identity(fleet.manufacturing);
  const verdict = await verifyPeer([idevid.certificate, ...idevid.chain], {
    ...rules(undefined),
    issuers: [fleet.operational.certificate],
    extKeyUsage: 'clientAuth',
    expected: { device: true },
  });
  assert.ok(!verdict.ok && verdict.rule === 'issuer');
  assert.match(verdict.detail, /Test Manufacturing CA/);
  const wrongDevice = await verifyPeer([idevid.certificate, ...idevid.chain], {
    ...rules(undefined),
    extKeyUsage: 'clientAuth',
    expected: { device: true, deviceId: 'pump-2' },
  });
  assert.equal(ruleOf(wrongDevice), 'name');
  const garbage = await verifyPeer([Uint8Array.of(0x30, 0x01, 0x00) as DerCertificate], {
    ...rules(undefined),
    extKeyUsage: 'clientAuth',
    expected: { device: true },
  });
  assert.equal(ruleOf(garbage), 'malformed');
});
