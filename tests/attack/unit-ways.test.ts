import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fromBase64, toBase64, toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import { csrFor, type HostileFrontEnd, makeKey } from 'keystead/keyd/tests/bed.ts';
import { OpensslUnit } from 'keystead/keyd/tests/unit-with-openssl.ts';
import { judge } from './judge/judge.ts';
import { Siege } from './siege.ts';

/** A front end that was taken over, before a keyd that may make the keys of units. */
let siege: Siege;
let front: HostileFrontEnd;
let ticket: string;
const units: OpensslUnit[] = [];
before(async () => {
  siege = await Siege.make({ unitKeys: { injected: ['idevid'] } });
  front = await siege.front();
  ticket = await siege.bed.ticket({ id: 'line', quota: 40, keyOrigins: ['injected', 'proof-of-possession'] });
});
after(async () => {
  await siege.end();
  for (const unit of units) unit.remove();
});

function newUnit(): OpensslUnit {
  const unit = new OpensslUnit();
  units.push(unit);
  return unit;
}

const at = (deviceId: string) => ({
  ticket,
  deviceId,
  station: 'station-1',
  operator: 'lin',
  line: 'line-1',
  requestId: `unit-${deviceId}`,
});
const keyFor = (deviceId: string, recipient: Uint8Array) => ({
  ...at(deviceId),
  algorithm: 'P-256',
  recipient: toBase64(recipient),
});
const certify = (deviceId: string, csr: unknown) => ({ ...at(deviceId), csr: String(csr), way: { kind: 'injected' } });

/** Asks as a station does after a power cut: again, until there is an answer. */
async function ask(op: string, params: Record<string, unknown>): Promise<Record<string, unknown>> {
  const { ok, error } = await siege.ask(front, op, params);
  assert.equal(error, undefined, error?.message);
  return ok as Record<string, unknown>;
}

test('TEST-KEY-17: keyd is killed at any moment of a line that injects keys, and every unit has one key, one package and one place of the quota', async () => {
  const line = Array.from({ length: 2 }, (_, index) => ({ deviceId: `KS-000${index + 1}`, unit: newUnit() }));
  const answered = new Map<string, Set<string>>();
  const saw = (deviceId: string, what: string): void => {
    answered.set(deviceId, (answered.get(deviceId) ?? new Set()).add(what));
  };
  for (const [index, { deviceId, unit }] of line.entries()) {
    for (const cut of ['makeUnitKey', 'provision'] as const) {
      const made = cut === 'provision' ? await ask('makeUnitKey', keyFor(deviceId, unit.recipient)) : undefined;
      const order = made === undefined ? keyFor(deviceId, unit.recipient) : certify(deviceId, made.csr);
      const under = siege.ask(front, cut, order);
      // At once, or a little later: before the journal is written, or about when it is.
      for (let turn = 0; turn < index * 8; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      await siege.restart();
      const { ok } = await under;
      if (ok !== undefined && cut === 'makeUnitKey') saw(deviceId, String((ok as { envelope: string }).envelope));
      front = await siege.front();
    }
    const { envelope, csr } = await ask('makeUnitKey', keyFor(deviceId, unit.recipient));
    saw(deviceId, String(envelope));
    const issued = await ask('provision', certify(deviceId, csr));
    const pkcs8 = unit.privateKey(
      fromBase64(String(envelope)),
      siege.trust.certificates.root as Parameters<OpensslUnit['privateKey']>[1],
      new Date(),
    );
    assert.deepEqual(
      unit.publicHalf(pkcs8),
      Uint8Array.from(readCertificate(fromBase64(String(issued.certificate))).spki),
    );
  }
  for (const [deviceId, packages] of answered) assert.equal(packages.size, 1, deviceId);
  const status = await ask('status', {});
  const [batch] = (status.tickets as { id: string; units: number }[]).filter(({ id }) => id === 'line');
  assert.equal(batch?.units, line.length);
  const keys = siege.entries.filter((entry) => entry.kind === 'certificate' && entry.profile === 'idevid');
  const distinct = new Set(keys.map((entry) => (entry.kind === 'certificate' ? entry.spkiSha256 : '')));
  assert.equal(distinct.size, line.length);
});

test('TEST-KEY-03: all that went over the wire while keys were made, captured, holds no private key in any form', async () => {
  const unit = newUnit();
  const made = await ask('makeUnitKey', keyFor('KS-0020', unit.recipient));
  const issued = await ask('provision', certify('KS-0020', made.csr));
  const capture = JSON.stringify([keyFor('KS-0020', unit.recipient), made, issued, siege.signed]);
  const root = siege.trust.certificates.root as Parameters<OpensslUnit['privateKey']>[1];
  const scalar = Buffer.from(unit.privateKey(fromBase64(String(made.envelope)), root, new Date()).subarray(36, 68));
  const bytes = [made.csr, made.envelope, issued.certificate].map((text) => Buffer.from(fromBase64(String(text))));
  for (const one of bytes) assert.ok(!one.includes(scalar));
  for (const form of [toHex(scalar), scalar.toString('base64').slice(4, -4), scalar.toString('base64url').slice(4, -4)])
    assert.ok(!capture.includes(form));
  // What was captured is what was sent: the package is in it.
  assert.ok(capture.includes(String(made.envelope)));
});

test('TEST-KEY-13: the front end gets no second key for a device, no key for a device with an identity, and no record that hides who made it', async () => {
  const refused = async (code: string, op: string, params: Record<string, unknown>): Promise<void> => {
    const entries = siege.entries.length;
    const { ok, error } = await siege.ask(front, op, params);
    assert.deepEqual([ok, error?.code], [undefined, code], error?.message);
    assert.equal(siege.entries.length, entries);
  };
  const own = makeKey().spki;
  await refused('device.already-provisioned', 'makeUnitKey', keyFor('KS-0020', own));
  const mine = await ask('provision', { ...at('KS-0021'), csr: toBase64(await csrFor('KS-0021')) });
  await refused('device.already-provisioned', 'makeUnitKey', keyFor('KS-0021', own));
  await refused(
    'injection.recipient-unfit',
    'makeUnitKey',
    keyFor('KS-0022', readCertificate(fromBase64(String(mine.certificate))).spki),
  );
  await refused('request.malformed', 'makeUnitKey', { ...keyFor('KS-0022', own), algorithm: 'RSA-3072' });
  await refused('request.malformed', 'makeUnitKey', { ...keyFor('KS-0022', own), pkcs8: 'AAAA' });
  const { csr, envelope } = await ask('makeUnitKey', keyFor('KS-0022', own));
  await ask('provision', { ...at('KS-0022'), csr });
  assert.equal(toHex(sha256(fromBase64(String(envelope)))).length, 64);
  assert.deepEqual(judge(siege), []);
});
