import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import type { Server, TLSSocket } from 'node:tls';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import { acceptIssued, DeviceState, DeviceTls, HttpTrustSource, peerCertificates, TrustUpdater } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { MemoryDisk } from './memory-disk.ts';
import { USAGE } from './test-ca.ts';
import { TrustHouse } from './trust-house.ts';

/** The TLS of a device's application, both ways: a gateway that serves devices, and a pump that talks to it. */
const BOTH = [USAGE.clientAuth, USAGE.serverAuth];
let fleet: Fleet;
let house: TrustHouse;
before(async () => {
  fleet = new Fleet(new Date('2027-01-15T12:00:00Z'));
  house = await TrustHouse.start(fleet);
});
after(() => house.stop());

interface Device {
  readonly state: DeviceState;
  readonly trust: TrustUpdater;
  readonly tls: DeviceTls;
}

async function device(deviceId: string, extKeyUsage: readonly string[]): Promise<Device> {
  const disk = new MemoryDisk();
  const opening = { deviceId, anchors: [fleet.root.certificate], secret: SecretBytes.random(32), disk };
  const state = DeviceState.create('/device', { ...opening, trust: house.factoryTrust() });
  acceptIssued(state, deviceCertificate(fleet, 'idevid', (await state.beginKey('idevid')).csr), fleet.clock);
  await renew(state, extKeyUsage);
  const trust = new TrustUpdater({ state, source: new HttpTrustSource(house.url), clock: fleet.clock });
  return { state, trust, tls: new DeviceTls({ state, clock: fleet.clock, carried: () => trust.carried }) };
}

async function renew(state: DeviceState, extKeyUsage: readonly string[]): Promise<void> {
  const { csr } = await state.beginKey('ldevid');
  acceptIssued(state, deviceCertificate(fleet, 'ldevid', csr, { seconds: 86_400, extKeyUsage }), fleet.clock);
  state.promote();
}

const serialOf = ({ state }: Device) => readCertificate(state.identity('current').certificate).serial;

/** A filter that names these of the devices' CA as revoked, and a bundle with it. */
async function publish(known: readonly Device[], revoked: readonly Device[]): Promise<void> {
  const { spki } = readCertificate(fleet.operational.certificate);
  const filterSha256 = house.filter(spki, known.map(serialOf), new Set(revoked.map(serialOf)), 'whole');
  await house.publish({ filterSha256 });
}

/** A server of the gateway's application that greets each device; why others were refused. */
async function serving(gateway: Device): Promise<{ server: Server; port: number; refused: string[] }> {
  const refused: string[] = [];
  const server = gateway.tls.createServer(
    { device: true },
    (socket, { deviceId }) => socket.write(`hello ${deviceId}`),
    ({ rule }) => refused.push(rule),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port, refused };
}

/** What is heard first; undefined where the connection ends without a word. */
async function heard(socket: TLSSocket): Promise<string | undefined> {
  const [first] = await Promise.race([once(socket, 'data'), once(socket, 'close')]);
  return first instanceof Buffer ? first.toString() : undefined;
}

const ruleOf = async (connecting: Promise<TLSSocket>): Promise<string> => {
  try {
    (await connecting).destroy();
    return 'ok';
  } catch (error) {
    assert.ok(error instanceof KeysteadError && error.code === 'peer.refused', String(error));
    return error.field ?? '';
  }
};

test('TEST-KEY-07 a device serves devices: each judges the other by its bundle and filter without a network, by id and purpose; who is revoked loses its connection and gets no other', async () => {
  const [gateway, pump, other] = [
    await device('gateway-1', BOTH),
    await device('pump-1', BOTH),
    await device('p-2', BOTH),
  ];
  const narrow = await device('gateway-2', [USAGE.clientAuth]);
  const all = [gateway, pump, other, narrow];
  fleet.clock.advance(60);
  await publish(all, []);
  for (const one of all) await one.trust.update();
  const links: TLSSocket[] = [];
  const [served, narrowly] = [await serving(gateway), await serving(narrow)];
  try {
    house.away = true;
    const at = (deviceId: string | undefined, { port } = served) => ({
      ...{ host: 'localhost', port },
      ...(deviceId === undefined ? {} : { deviceId }),
    });
    const connect = async (from: Device): Promise<TLSSocket> => {
      const link = await from.tls.connect(at('gateway-1'));
      links.push(link);
      return link;
    };
    assert.equal(await heard(await connect(pump)), 'hello pump-1');
    const second = await connect(other);
    assert.equal(await heard(second), 'hello p-2');
    assert.equal(await ruleOf(pump.tls.connect(at('gateway-2'))), 'name', 'another device than was meant');
    assert.equal(await ruleOf(pump.tls.connect(at(undefined))), 'name', 'a device is no host');
    assert.equal(await ruleOf(pump.tls.connect(at('gateway-2', narrowly))), 'ext-key-usage');

    // The gateway shows its next credential without a new server.
    const before = serialOf(gateway);
    await renew(gateway.state, BOTH);
    gateway.tls.renewed();
    house.away = false;
    fleet.clock.advance(60);
    await publish(all, [other]);
    for (const one of [gateway, pump]) await one.trust.update();
    house.away = true;
    const next = await connect(pump);
    assert.equal(await heard(next), 'hello pump-1');
    const [shown = assert.fail('no certificate')] = peerCertificates(next);
    assert.equal(readCertificate(shown).serial, serialOf(gateway));
    assert.notEqual(serialOf(gateway), before);

    // One is revoked: its open connection ends with the filter, and it gets no word any more.
    const gone = once(second, 'close');
    assert.equal(await gateway.tls.judgeAgain(), 1);
    await gone;
    assert.equal(await heard(await connect(other)), undefined);
    assert.deepEqual(served.refused, ['revoked']);
    assert.equal(await ruleOf(pump.tls.connect(at('gateway-1'))), 'ok', 'the others go on');

    // And the other way round: the pump leaves a gateway that is revoked.
    house.away = false;
    await publish(all, [gateway]);
    await pump.trust.update();
    house.away = true;
    const left = once(next, 'close');
    assert.ok((await pump.tls.judgeAgain()) > 0);
    await left;
    assert.equal(await ruleOf(pump.tls.connect(at('gateway-1'))), 'revoked');
  } finally {
    for (const socket of links) socket.destroy();
    house.away = false;
    served.server.close();
    narrowly.server.close();
  }
});
