import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer as createHttpServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { createServer as createTlsListener, type Server as TlsListener } from 'node:tls';
import { SimulatedClock } from '@keystead/core/clock';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CertStatus,
  ocspResponse,
  parseOcspRequest,
  readCertificate,
  responderKeyHash,
  tbsOcspResponse,
} from '@keystead/core/x509';
import { integer, sequence } from '../../core/x509/der/writer.ts';
import {
  altNames,
  crlPoints,
  distributionPoint,
  extension,
  type ForgedCertificate,
  forge,
  forgeCrl,
  NOW,
  policies,
  type Wish,
} from '../../core/x509/tests/forge.ts';
import {
  CrlCache,
  connectMutual,
  createTlsServer,
  type DeviceIdentity,
  DeviceState,
  DeviceTls,
  OcspStapler,
  type PeerRules,
  type PeerVerdict,
  STAPLED_ONLY,
  verifyPeer,
} from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { MemoryDisk } from './memory-disk.ts';
import { pkcs8Of } from './test-ca.ts';

const root = forge({ subject: ['CN=root'], ca: true });
const HOUR = 3_600_000;

/** What the distribution points and the responder say now, and how often they were asked. */
const served = new Map<string, Uint8Array>();
let asked: string[] = [];
let ocspStatus: CertStatus = { status: 'good' };
let http: Server;
let base: string;
let ca: ForgedCertificate;
const clock = new SimulatedClock(NOW);

before(async () => {
  http = createHttpServer((request, response) => {
    const path = request.url ?? '';
    asked.push(path);
    if (path === '/ocsp') {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => response.end(answer(Buffer.concat(parts))));
      return;
    }
    const body = served.get(path);
    const etag = body === undefined ? '' : `"${Buffer.from(body).subarray(-8).toString('hex')}"`;
    if (body === undefined) response.writeHead(503).end();
    else if (request.headers['if-none-match'] === etag) response.writeHead(304).end();
    else response.writeHead(200, { etag }).end(body);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  base = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  ca = forge({ subject: ['CN=ca'], ca: true, by: root, extensions: [point('/root.crl')] });
});
after(() => {
  http.closeAllConnections();
  http.close();
});

const point = (path: string): Uint8Array => crlPoints(distributionPoint({ url: `${base}${path}` }));

/** Signed by the CA itself, for a minute. */
function answer(request: Uint8Array): Uint8Array {
  const { certIds, nonce } = parseOcspRequest(request);
  const now = clock.now();
  const tbs = tbsOcspResponse({
    responderKeyHash: responderKeyHash(ca.der),
    producedAt: now,
    responses: certIds.map((certId) => ({
      certId,
      status: ocspStatus,
      thisUpdate: now,
      nextUpdate: new Date(now.getTime() + 60_000),
    })),
    nonce,
  });
  const signature = new Uint8Array(sign('sha256', tbs, ca.key.privateKey));
  return ocspResponse(tbs, 'ecdsa-with-SHA256', signature, []);
}

const device = (wish: Wish = {}): ForgedCertificate =>
  forge({
    subject: ['CN=pump-1'],
    by: ca,
    extKeyUsage: ['clientAuth'],
    extensions: [altNames('URI:urn:keystead:device:pump-1'), point('/ca.crl')],
    ...wish,
  });
const server = (wish: Wish = {}): ForgedCertificate =>
  forge({
    subject: ['CN=localhost'],
    by: ca,
    extKeyUsage: ['serverAuth'],
    extensions: [altNames('DNS:localhost'), point('/ca.crl')],
    ...wish,
  });
const rules = (v: Partial<PeerRules> = {}): PeerRules => ({
  clock,
  anchors: [root.der],
  extKeyUsage: 'clientAuth',
  expected: { device: true },
  ...v,
});
const judged = (peer: ForgedCertificate, v: Partial<PeerRules> = {}): Promise<PeerVerdict> =>
  verifyPeer([peer.der, ca.der], rules(v));
const said = async (peer: ForgedCertificate, v: Partial<PeerRules>): Promise<string> => {
  const verdict = await judged(peer, v);
  return verdict.ok ? 'ok' : `${verdict.rule} ${verdict.depth}`;
};
/** Serves the CRLs of both CAs as they are now. */
function publish(
  number: number,
  revoked: readonly ForgedCertificate[],
  v: Partial<Parameters<typeof forgeCrl>[0]> = {},
): void {
  const now = clock.now();
  const times = { number, thisUpdate: now, nextUpdate: new Date(now.getTime() + HOUR), ...v };
  const of = (by: ForgedCertificate) =>
    revoked.filter((one) => one !== by).map(({ serial }) => ({ serial, reason: 1 }));
  served.set('/ca.crl', forgeCrl({ by: ca, ...times, revoked: of(ca) }));
  served.set(
    '/root.crl',
    forgeCrl({ by: root, ...times, revoked: revoked.includes(ca) ? [{ serial: ca.serial, reason: 2 }] : [] }),
  );
}
const cache = (v: Partial<ConstructorParameters<typeof CrlCache>[0]> = {}): CrlCache => new CrlCache({ clock, ...v });

test('TEST-KEY-07 CRLs are fetched from where the certificates say, for each certificate of the path, and the rule says which refused', async () => {
  const [good, bad] = [device(), device()];
  publish(1, [bad]);
  const crls = cache();
  assert.equal(await said(good, { crls, cover: 'path' }), 'ok');
  const verdict = await judged(bad, { crls, cover: 'path' });
  assert.ok(!verdict.ok);
  assert.deepEqual([verdict.rule, verdict.source, verdict.depth], ['revoked', 'RFC 5280 6.3.3', 0]);
  assert.match(verdict.detail, /CN=pump-1: by crl, .*keyCompromise/);
  publish(2, [ca]);
  assert.equal(await said(good, { crls: cache(), cover: 'path' }), 'revoked 1');
  assert.equal(await said(good, { crls: cache() }), 'ok', 'the leaf alone');
  crls.close();
});

test('a CRL is asked for again when it is old, by its ETag, and not before', async () => {
  publish(3, []);
  const crls = cache({ refreshMs: 60_000 });
  const peer = device();
  asked = [];
  for (let i = 0; i < 3; i += 1) assert.equal(await said(peer, { crls }), 'ok');
  assert.deepEqual(asked, ['/ca.crl']);
  clock.advance(61);
  assert.equal(await said(peer, { crls }), 'ok');
  assert.deepEqual(asked, ['/ca.crl', '/ca.crl']);
  publish(4, [peer]);
  clock.advance(61);
  assert.equal(await said(peer, { crls }), 'revoked 0');
});

test('TEST-KEY-07 offline, the last CRL tells a status within the tolerated window, and past it the peer is refused', async () => {
  publish(5, []);
  const crls = cache({ refreshMs: 1000, tolerateMs: 2 * HOUR });
  const strict = cache({ refreshMs: 1000 });
  const peer = device();
  assert.equal(await said(peer, { crls }), 'ok');
  assert.equal(await said(peer, { crls: strict }), 'ok');
  served.clear();
  clock.advance(3599);
  assert.equal(await said(peer, { crls: strict }), 'ok', 'until nextUpdate');
  clock.advance(2);
  assert.equal(await said(peer, { crls: strict }), 'status-stale 0');
  assert.equal(await said(peer, { crls }), 'ok', 'within the window');
  clock.advance(2 * 3600);
  assert.equal(await said(peer, { crls }), 'status-stale 0');
  assert.equal(await said(peer, { crls: cache({ tolerateMs: 2 * HOUR }) }), 'status-unavailable 0', 'never heard of');
});

test('what a false distribution point serves takes the place of nothing: forged, older, torn, or no CRL at all', async () => {
  const [good, bad] = [device(), device()];
  publish(7, [bad]);
  const crls = cache({ refreshMs: 1000 });
  assert.equal(await said(bad, { crls }), 'revoked 0');
  const stranger = forge({ subject: ['CN=ca'], ca: true });
  const newest = served.get('/ca.crl') ?? new Uint8Array(0);
  const forged = forgeCrl({ by: stranger, number: 9, thisUpdate: clock.now() });
  const older = forgeCrl({ by: ca, number: 6, thisUpdate: clock.now() });
  for (const body of [forged, older, newest.subarray(0, 80), Buffer.from('<html>')]) {
    served.set('/ca.crl', body);
    clock.advance(2);
    assert.equal(await said(bad, { crls }), 'revoked 0');
    assert.equal(await said(good, { crls }), 'ok');
  }
});

test('a namesake of the CA that the peer sends gets no CRL into the cache', async () => {
  const peer = device();
  publish(10, []);
  const crls = cache({ refreshMs: 1000 });
  const namesake = forge({ subject: ['CN=ca'], ca: true });
  const withNamesake = async (): Promise<boolean> =>
    (await verifyPeer([peer.der, ca.der, namesake.der], rules({ crls }))).ok;
  served.set('/ca.crl', forgeCrl({ by: namesake, number: 1000, thisUpdate: clock.now() }));
  assert.equal(await withNamesake(), false, 'no CRL of the CA yet');
  publish(11, []);
  assert.equal(await withNamesake(), true);
  clock.advance(2);
  served.set('/ca.crl', forgeCrl({ by: namesake, number: 1001, thisUpdate: clock.now() }));
  assert.equal(await withNamesake(), true, 'the last one of the CA stays');
  publish(12, [peer]);
  clock.advance(2);
  assert.equal(await withNamesake(), false, 'and gives way to the next one');
});

test('a responder is asked although an answer was stapled, for the peer chose which one', async () => {
  const shown = server();
  const staple = await new OcspStapler({
    clock,
    certificate: shown.der,
    issuer: ca.der,
    url: `${base}/ocsp`,
  }).current();
  assert.ok(staple !== undefined);
  const ocsp = { status: async () => ({ status: 'revoked' as const, revokedAt: clock.now() }) };
  const v = { extKeyUsage: 'serverAuth' as const, expected: { host: 'localhost' }, staple };
  assert.equal(await said(shown, { ...v, ocsp: STAPLED_ONLY }), 'ok');
  assert.equal(await said(shown, { ...v, ocsp }), 'revoked 0');
});

test('an answer that is larger than allowed is not read to its end', async () => {
  publish(8, []);
  assert.equal(await said(device(), { crls: cache({ largest: 64 }) }), 'status-unavailable 0');
});

test('a filter that a device carries refuses offline, and stays silent where it does not cover', async () => {
  const saying = (verdict: 'revoked' | 'good' | 'not-covered') => ({ filter: { verdict: () => verdict } });
  assert.equal(await said(device(), saying('revoked')), 'revoked 0');
  assert.equal(await said(device(), saying('good')), 'ok');
  assert.equal(await said(device(), saying('not-covered')), 'status-unavailable 0');
});

test('a certificate that is younger than the filter covers is refused by a rule of its own, which says from when on and what to do', async () => {
  const young = device();
  const { notBefore } = readCertificate(young.der);
  const through = new Date(notBefore.getTime() - 1000);
  const filter = { verdict: () => 'not-covered' as const, knownUntil: () => through };
  const verdict = await verifyPeer([young.der, ca.der], rules({ filter }));
  assert.ok(!verdict.ok);
  assert.deepEqual([verdict.rule, verdict.depth], ['status-too-young', 0]);
  assert.match(verdict.source, /filter\.md/);
  for (const part of [notBefore.toISOString(), through.toISOString(), 'take a newer filter, or let OCSP be asked'])
    assert.ok(verdict.detail.includes(part), verdict.detail);
  const good = { status: async () => ({ status: 'good' as const }) };
  assert.equal(await said(young, { filter, ocsp: good as never }), 'ok', 'the responder tells it');
  assert.equal(
    await said(young, { filter: { ...filter, knownUntil: () => notBefore } }),
    'status-unavailable 0',
    'another reason',
  );
});

test('the application may ask for a policy and for shorter paths', async () => {
  const marked = device({ extensions: [altNames('URI:urn:keystead:device:pump-1'), policies('1.2.3.4')] });
  const required = { requireExplicitPolicy: true, policies: ['1.2.3.4'] };
  assert.equal(await said(marked, { path: required }), 'explicit-policy 1', 'the CA has no policy');
  assert.equal(await said(marked, { path: { maxPathLength: 2 } }), 'path-too-long 1');
});

/** A TLS server that shows `shown` and staples what the responder says of it. */
function stapling(shown: ForgedCertificate, staple = true): TlsListener {
  const identity: DeviceIdentity = {
    deviceId: 'server',
    certificate: shown.der,
    chain: [ca.der],
    withKey: (use) => use(pkcs8Of(shown.key.privateKey)),
  };
  const listener = createTlsServer(identity, (options) =>
    createTlsListener(options, (socket) => socket.on('error', () => undefined)),
  );
  if (staple) new OcspStapler({ clock, certificate: shown.der, issuer: ca.der, url: `${base}/ocsp` }).attach(listener);
  return listener.listen(0, '127.0.0.1');
}

/** Resolves to the rule by which the server is refused, or 'ok'. */
async function stapledConnect(shown: ForgedCertificate, staple: boolean, v: Partial<PeerRules> = {}): Promise<string> {
  const listener = stapling(shown, staple);
  await once(listener, 'listening');
  try {
    const { port } = listener.address() as AddressInfo;
    const { extKeyUsage: _, expected: __, staple: ___, ...given } = rules(v);
    const socket = await connectMutual({ host: 'localhost', port }, undefined, given);
    socket.destroy();
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof KeysteadError && error.code === 'peer.refused', String(error));
    return error.field ?? '';
  } finally {
    listener.close();
  }
}

test('TEST-KEY-07 a server staples its OCSP answer, and the client goes by it: good, revoked before it ended, or none', async () => {
  const silent = { ocsp: STAPLED_ONLY };
  ocspStatus = { status: 'good' };
  asked = [];
  assert.equal(await stapledConnect(server(), true, silent), 'ok', 'the client itself reaches nobody');
  assert.deepEqual(asked, ['/ocsp']);
  assert.equal(await stapledConnect(server(), false, silent), 'status-unavailable');
  ocspStatus = { status: 'revoked', revokedAt: clock.now(), reason: 'keyCompromise' };
  assert.equal(
    await stapledConnect(server(), true, silent),
    'status-unavailable',
    'a server staples nothing against itself',
  );
  ocspStatus = { status: 'good' };
});

test('a stapled answer that says revoked, of another certificate, or that ended, is no good answer', async () => {
  const shown = server();
  const other = server();
  const stapleOf = async (of: ForgedCertificate): Promise<Uint8Array | undefined> =>
    new OcspStapler({ clock, certificate: of.der, issuer: ca.der, url: `${base}/ocsp` }).current();
  const own = await stapleOf(shown);
  const foreign = await stapleOf(other);
  assert.ok(own !== undefined && foreign !== undefined);
  const v = { extKeyUsage: 'serverAuth' as const, expected: { host: 'localhost' } };
  assert.equal(await said(shown, { ...v, staple: own }), 'ok');
  assert.equal(await said(shown, { ...v, staple: foreign }), 'status-unavailable 0');
  clock.advance(61);
  assert.equal(await said(shown, { ...v, staple: own }), 'status-stale 0');
  clock.advance(-61);
  const changed = Uint8Array.from(own);
  changed[changed.length - 4] = (changed[changed.length - 4] ?? 0) ^ 1;
  assert.equal(await said(shown, { ...v, staple: changed }), 'status-unverified 0');
});

test('a server whose certificate promises a stapled answer is refused without one (RFC 7633)', async () => {
  const feature = extension('1.3.6.1.5.5.7.1.24', false, sequence(integer(5)));
  const shown = server({ extensions: [altNames('DNS:localhost'), feature] });
  assert.equal(await stapledConnect(shown, true), 'ok');
  assert.equal(await stapledConnect(shown, false), 'staple-missing');
  // One that does not verify keeps no promise, whatever else calls the certificate good.
  const good = { filter: { verdict: () => 'good' as const } };
  const v = { ...good, extKeyUsage: 'serverAuth' as const, expected: { host: 'localhost' } };
  const staple = await new OcspStapler({
    clock,
    certificate: shown.der,
    issuer: ca.der,
    url: `${base}/ocsp`,
  }).current();
  assert.ok(staple !== undefined);
  assert.equal(await said(shown, { ...v, staple: Uint8Array.of(0x30, 0) }), 'staple-missing 0');
  assert.equal(
    await said(shown, { ...v, staple: staple.with(staple.length - 4, (staple.at(-4) ?? 0) ^ 1) }),
    'staple-missing 0',
  );
  assert.equal(await said(shown, { ...v, staple }), 'ok');
  // Looked at again after the answer ended: it was kept in its time, and what counts now is what is known now.
  const stapledAt = clock.now();
  clock.advance(61);
  assert.equal(await said(shown, { ...v, staple }), 'staple-missing 0', 'a handshake of now');
  assert.equal(await said(shown, { ...v, staple, stapledAt }), 'ok', 'a handshake of then, and a filter of now');
  assert.equal(await said(shown, { ...v, filter: undefined, staple, stapledAt } as never), 'status-stale 0');
  assert.equal(await said(shown, { ...v, filter: { verdict: () => 'revoked' }, staple, stapledAt }), 'revoked 0');
  clock.advance(-61);
});

test('a device keeps its connection to a server that stapled as its certificate promises, when it looks at its peers again', async () => {
  const feature = extension('1.3.6.1.5.5.7.1.24', false, sequence(integer(5)));
  const shown = server({ extensions: [altNames('DNS:localhost'), feature] });
  const fleet = new Fleet(clock.now());
  const opening = { deviceId: 'pump-1', anchors: [root.der], secret: SecretBytes.random(32), disk: new MemoryDisk() };
  const state = DeviceState.create('/device', opening);
  const { csr } = await state.beginKey('ldevid');
  const [certificate, ...chain] = deviceCertificate(fleet, 'ldevid', csr);
  const receivedAt = clock.now().toISOString();
  state.acceptCertificate({ certificate: certificate ?? assert.fail('no certificate'), chain, receivedAt });
  state.promote();
  const tls = new DeviceTls({ state, clock, carried: () => undefined, ocsp: STAPLED_ONLY });
  const listener = stapling(shown);
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  const socket = await tls.connect({ host: 'localhost', port });
  assert.equal(await tls.judgeAgain(), 0);
  clock.advance(61);
  assert.equal(await tls.judgeAgain(), 1, 'its answer has ended, and nothing newer tells the status');
  clock.advance(-61);
  socket.destroy();
  listener.close();
  state.close();
});

test('a responder that does not know the certificate outweighs a CRL that does not list it', async () => {
  publish(20, []);
  const ocsp = { status: async () => ({ status: 'unknown' as const }) };
  assert.equal(await said(device(), { ocsp, crls: cache() }), 'status-unknown 0');
  const away = { status: async () => ({ status: 'unavailable' as const, why: 'offline' }) };
  assert.equal(await said(device(), { ocsp: away, crls: cache() }), 'ok', 'a CRL in its time is an answer');
});
