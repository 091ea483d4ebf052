import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { test } from 'node:test';
import { acceptIssued, EstClient, keepCaCertificates } from '../index.ts';
import { TestEstServer } from './est-server.ts';
import { Fleet } from './fleet.ts';
import { provisionedDevice } from './provisioned-device.ts';

/** A relay that writes down every byte of both directions. */
async function recordingRelay(to: number): Promise<{ port: number; wire: Buffer[]; close: () => void }> {
  const wire: Buffer[] = [];
  const relay = createServer((near) => {
    const far = connect(to, '127.0.0.1');
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (bytes: Buffer) => {
        wire.push(bytes);
        into.write(bytes);
      });
      from.on('error', () => into.destroy());
      from.on('close', () => into.end());
    }
  });
  relay.listen(0, '127.0.0.1');
  await once(relay, 'listening');
  return { port: (relay.address() as AddressInfo).port, wire, close: () => relay.close() };
}

/** The forms in which a secret could stand in a message. */
const formsOf = (secret: Buffer): Buffer[] => [
  secret,
  Buffer.from(secret.toString('hex')),
  Buffer.from(secret.toString('hex').toUpperCase()),
  // Base64 of the secret at each of the three alignments, without the characters that its neighbours decide.
  ...[0, 1, 2].map((lead) =>
    Buffer.from(
      Buffer.concat([Buffer.alloc(lead), secret])
        .toString('base64')
        .slice(lead === 0 ? 0 : 4, -4),
    ),
  ),
];

test('TEST-KEY-03 the wire between device and server, captured encrypted and decrypted, holds no private key', async () => {
  const fleet = new Fleet();
  const server = await TestEstServer.start(fleet);
  const decrypted: Buffer[] = [];
  server.recordInto(decrypted);
  const relay = await recordingRelay(server.port);
  const { state, remove } = await provisionedDevice(fleet);
  try {
    const est = new EstClient({
      url: `https://localhost:${relay.port}`,
      clock: fleet.clock,
      anchors: () => state.anchors,
    });
    const secrets: Buffer[] = [];
    const publics: Buffer[] = [];
    const note = (slot: 'idevid' | 'pending'): void =>
      state.identity(slot).withKey((pkcs8) => {
        // PKCS#8 of P-256 as OpenSSL writes it: the scalar at 36, the public point in the last 64 octets.
        secrets.push(Buffer.from(pkcs8.subarray(36, 68)));
        publics.push(Buffer.from(pkcs8.subarray(-64)));
      });
    note('idevid');
    keepCaCertificates(state, await est.caCertificates(state.identity('idevid')), fleet.clock);
    for (const round of ['enrol', 'reenrol', 'reenrol'] as const) {
      const identity = state.identity(round === 'enrol' ? 'idevid' : 'current');
      const answer = await est[round](identity, (await state.beginKey('ldevid')).csr);
      assert.ok(answer.status === 'issued');
      acceptIssued(state, answer.certificates, fleet.clock);
      note('pending');
      state.promote();
    }
    const wire = Buffer.concat(relay.wire);
    const plain = Buffer.concat(decrypted);
    assert.ok(wire.length > 4000 && plain.length > 1000);
    for (const secret of secrets) {
      for (const form of formsOf(secret)) {
        assert.equal(wire.includes(form), false);
        assert.equal(plain.includes(form), false);
      }
    }
    // That the search would find a key: the public halves are there.
    const unfolded = Buffer.from(plain.toString('latin1').replace(/\r\n/g, ''), 'latin1');
    const bodies = [unfolded, ...server.requests.map(({ body }) => Buffer.from(body, 'base64'))];
    for (const point of publics.slice(1))
      assert.ok(bodies.some((body) => formsOf(point).some((form) => body.includes(form))));
    for (const secret of secrets)
      assert.ok(!bodies.some((body) => formsOf(secret).some((form) => body.includes(form))));
  } finally {
    remove();
    relay.close();
    await server.stop();
  }
});
