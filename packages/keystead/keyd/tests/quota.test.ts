import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { readJournal } from '../read-journal.ts';
import { csrFor, KeydBed, makeKey } from './bed.ts';

let bed: KeydBed;
before(async () => {
  bed = await KeydBed.make();
});
after(() => bed.remove());

const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'done',
    (error: unknown) => (error instanceof KeysteadError ? error.code : String(error)),
  );

let batches = 0;
/** A ticket of its own for a test, with ids that no other test has. */
async function batch(quota: number): Promise<{ id: string; ticket: string; deviceId: (n: number) => string }> {
  batches += 1;
  const id = `batch-q${batches}`;
  const prefix = `Q${batches}-`;
  const ticket = await bed.ticket({ id, quota, deviceIds: { prefix, from: 1, to: 999, width: 3 } });
  return { id, ticket, deviceId: (n) => `${prefix}${String(n).padStart(3, '0')}` };
}

const unitsOf = async (id: string): Promise<number | undefined> =>
  (await bed.client.status()).tickets.find((one) => one.id === id)?.units;

test('TEST-KEY-17 of a batch of N, unit N+1 is refused by keyd itself', async () => {
  const { id, ticket, deviceId } = await batch(3);
  for (let n = 1; n <= 3; n += 1) await bed.provision(deviceId(n), ticket);
  await assert.rejects(bed.provision(deviceId(4), ticket), { code: 'ticket.quota-exhausted', seen: '3 of 3 units' });
  assert.equal(await unitsOf(id), 3);
});

test('TEST-KEY-13 a quota is not exceeded by one, also when far more ask at the same moment over several connections', async () => {
  const { id, ticket, deviceId } = await batch(7);
  const clients = await Promise.all([bed.connect(), bed.connect(), bed.connect()]);
  const asked = Array.from({ length: 40 }, async (_, n) => {
    const csr = await csrFor(deviceId(n + 1));
    const client = clients[n % clients.length];
    assert.ok(client);
    const unit = { ticket, csr, station: 'station-1', operator: 'lin', line: 'line-1', requestId: `r${n}` };
    return codeOf(client.provision({ ...unit, deviceId: deviceId(n + 1) }));
  });
  const codes = await Promise.all(asked);
  assert.equal(codes.filter((code) => code === 'done').length, 7);
  assert.equal(codes.filter((code) => code === 'ticket.quota-exhausted').length, 33);
  assert.equal(await unitsOf(id), 7);
});

test('the same device with the same key may come again without taking a unit, also at the same moment', async () => {
  const { id, ticket, deviceId } = await batch(1);
  const key = makeKey();
  const units = await Promise.all([1, 2, 3].map(() => bed.provision(deviceId(1), ticket, key)));
  assert.equal(new Set(units.map((unit) => unit.serial)).size, 3);
  assert.equal(await unitsOf(id), 1);
});

test('the same device with another key, under another ticket, or another device with its key is refused', async () => {
  const one = await batch(5);
  const key = makeKey();
  await bed.provision(one.deviceId(1), one.ticket, key);
  assert.equal(await codeOf(bed.provision(one.deviceId(1), one.ticket)), 'device.already-provisioned');
  assert.equal(await codeOf(bed.provision(one.deviceId(2), one.ticket, key)), 'key.already-used');
  const other = await bed.ticket({
    id: `${one.id}-b`,
    deviceIds: { prefix: one.deviceId(1).slice(0, -3), from: 1, to: 9, width: 3 },
  });
  assert.equal(await codeOf(bed.provision(one.deviceId(1), other, key)), 'device.already-provisioned');
  assert.equal(await unitsOf(one.id), 1);
});

test('TEST-KEY-13 a ticket that is forged, expired, too early, by the wrong person, for another line or device is refused', async () => {
  const good = await batch(5);
  const at = (seconds: number) => new Date(bed.clock.now().getTime() + seconds * 1000).toISOString();
  const line = { prefix: 'KS-', from: 1, to: 100, width: 4 };
  const cases: [string, string][] = [
    [await bed.ticket({ id: 'x1' }, { name: 'ada', key: makeKey() }), 'ticket.signature-invalid'],
    [await bed.ticket({ id: 'x2' }, { name: 'lin', key: bed.people.lin }), 'ticket.signer-forbidden'],
    [await bed.ticket({ id: 'x3' }, { name: 'aud', key: bed.people.aud }), 'ticket.signer-forbidden'],
    [await bed.ticket({ id: 'x4' }, { name: 'eve', key: bed.people.ada }), 'ticket.signer-unknown'],
    [await bed.ticket({ id: 'x5', notBefore: at(-9), notAfter: at(-1) }), 'ticket.expired'],
    [await bed.ticket({ id: 'x6', notBefore: at(5) }), 'ticket.not-yet-valid'],
    [await bed.ticket({ id: 'x7', quota: 100_001 }), 'ticket.exceeds-policy'],
    [await bed.ticket({ id: 'x8', lines: ['line-2'] }), 'ticket.line-forbidden'],
    [await bed.ticket({ id: 'x9', deviceIds: { ...line, from: 2 } }), 'ticket.device-forbidden'],
    [good.ticket.replace('"payload":"', '"payload":"e'), 'ticket.malformed'],
    ['{}', 'ticket.malformed'],
  ];
  const before = (await bed.client.status()).certificates;
  for (const [ticket, code] of cases) assert.equal(await codeOf(bed.provision('KS-0001', ticket)), code);
  assert.equal((await bed.client.status()).certificates, before);
});

test('TEST-KEY-13 a second ticket with the id of the first does not give its quota again', async () => {
  const { id, ticket, deviceId } = await batch(1);
  await bed.provision(deviceId(1), ticket);
  const again = await bed.ticket({
    id,
    quota: 100,
    deviceIds: { prefix: deviceId(1).slice(0, -3), from: 1, to: 9, width: 3 },
  });
  assert.equal(await codeOf(bed.provision(deviceId(2), again)), 'ticket.id-reused');
});

test('only a person whom the policy lets provision stands in a record as operator', async () => {
  const { ticket, deviceId } = await batch(2);
  const unit = { ticket, deviceId: deviceId(1), station: 's', line: 'line-1', requestId: 'r' };
  const csr = await csrFor(deviceId(1));
  assert.equal(await codeOf(bed.client.provision({ ...unit, csr, operator: 'eve' })), 'operator.unknown');
  assert.equal(await codeOf(bed.client.provision({ ...unit, csr, operator: 'aud' })), 'operator.forbidden');
  const wrongName = await csrFor(deviceId(2));
  assert.equal(
    await codeOf(bed.client.provision({ ...unit, csr: wrongName, operator: 'lin' })),
    'csr.subject-mismatch',
  );
});

test('TEST-KEY-13 quotas, devices and keys are the same after a restart', async () => {
  const { id, ticket, deviceId } = await batch(2);
  const key = makeKey();
  await bed.provision(deviceId(1), ticket, key);
  await bed.restart();
  assert.equal(await unitsOf(id), 1);
  assert.equal(await codeOf(bed.provision(deviceId(1), ticket)), 'device.already-provisioned');
  assert.equal(await codeOf(bed.provision(deviceId(1), ticket, key)), 'done');
  assert.equal(await codeOf(bed.provision(deviceId(2), ticket)), 'done');
  await bed.restart();
  assert.equal(await codeOf(bed.provision(deviceId(3), ticket)), 'ticket.quota-exhausted');
});

test('TEST-KEY-13 after a power cut in the middle of a write, wherever it fell, the quota holds for all that was acknowledged', async () => {
  const path = join(bed.dir, 'journal');
  await fc.assert(
    fc.asyncProperty(fc.nat(400), async (torn) => {
      const { id, ticket, deviceId } = await batch(2);
      await bed.provision(deviceId(1), ticket);
      const { next } = readJournal(path);
      await bed.provision(deviceId(2), ticket);
      await bed.stop();
      // As if the second unit had not got all the way to the disk, and so was not answered.
      truncateSync(path, Math.min(next + torn, readJournal(path).next));
      await bed.start();
      const units = (await unitsOf(id)) ?? 0;
      assert.ok(units === 1 || units === 2);
      const codes = await Promise.all([3, 4, 5].map((n) => codeOf(bed.provision(deviceId(n), ticket))));
      assert.equal(codes.filter((code) => code === 'done').length, 2 - units);
    }),
    { numRuns: 12 },
  );
});
