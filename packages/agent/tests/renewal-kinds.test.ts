import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { algorithmOfSpki } from '@keystead/core/crypto';
import { parseCsr } from '@keystead/core/x509';
import { type DeviceKeyAlgorithm, EstRefusal, type RenewalEvent, RenewalLoop } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { provisionedDevice } from './provisioned-device.ts';

const clean: (() => unknown)[] = [];
after(async () => {
  for (const act of clean.reverse()) await act();
});

/** A device with two kinds of key, and a server that breaks over the first. @returns the kinds that were asked with. */
async function enrolled(deviceId: string, status: number, wanted?: DeviceKeyAlgorithm) {
  const fleet = new Fleet();
  const { state, remove } = await provisionedDevice(fleet, deviceId);
  clean.push(remove);
  const kinds: unknown[] = [];
  const requests = new Set<string>();
  const events: RenewalEvent[] = [];
  const enrol = async (_identity: unknown, csr: Uint8Array) => {
    const { spki } = parseCsr(csr);
    kinds.push(algorithmOfSpki(spki));
    requests.add(Buffer.from(csr).toString('hex'));
    if (kinds.at(-1) !== 'P-256') throw new EstRefusal('simpleenroll', status, Buffer.from('an exception'));
    return { status: 'issued' as const, certificates: deviceCertificate(fleet, 'ldevid', parseCsr(csr).der) };
  };
  const loop = new RenewalLoop({
    state,
    est: {
      caCertificates: async () => [fleet.operational.certificate],
      enrol,
      reenrol: enrol,
      ...(wanted === undefined ? {} : { wantedKey: async () => wanted }),
    },
    clock: fleet.clock,
    graceSeconds: 3600,
    prove: async () => undefined,
    keys: ['ML-DSA-65', 'P-256'],
    onEvent: (event) => events.push(event),
  });
  for (let left = 12; left > 0 && state.credential('current') === undefined; left -= 1) await loop.step();
  const isEnrolled = state.credential('current') !== undefined;
  state.close();
  return { kinds, requests: requests.size, isEnrolled, events };
}

for (const wanted of [undefined, 'ML-DSA-65'] as const) {
  test(`REQ-KEY-ROT-01: a server that breaks over one kind of key ${wanted ?? 'and asks for none'} is asked with the next`, async () => {
    const { kinds, requests, isEnrolled } = await enrolled('pump-500', 500, wanted);
    assert.deepEqual(kinds, [...Array.from({ length: 5 }, () => 'ML-DSA-65'), 'P-256']);
    assert.equal(requests, 2, 'one request for each: its certificate may have been made');
    assert.ok(isEnrolled);
  });
}

test('a server that says that it is overloaded is asked with the same request for as long as it says so', async () => {
  const { requests, isEnrolled } = await enrolled('pump-503', 503);
  assert.deepEqual([requests, isEnrolled], [1, false]);
});
