import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { codeOf, csrFor, DomainBed, makeKey } from '../../authority/tests/bed.ts';
import { ChipMaker } from '../../keyd/tests/chip-maker.ts';

/** Chips and injected keys before the rooms of the domain, over the real keyd. */
let maker: ChipMaker;
let bed: DomainBed;
before(async () => {
  maker = new ChipMaker('Chips AG');
  bed = await DomainBed.make(
    {},
    {
      attestation: { required: false, anchors: [], secureElements: maker.policy() },
      unitKeys: { injected: ['idevid'] },
    },
  );
  bed.clock.set(new Date(Date.now() + 3_600_000));
  const ticket = await bed.keyd.ticket({
    id: 'ways',
    keyOrigins: ['secure-element', 'injected', 'proof-of-possession'],
  });
  await bed.provisioning.openBatch({ ticket, actor: { kind: 'operator', id: 'lin' }, requestId: 'open' });
});
after(async () => {
  await bed?.remove();
  maker.remove();
});

const at = (deviceId: string) => ({
  ...{ ticketId: 'ways', deviceId, station: 'lin', operator: 'lin', line: 'line-1', requestId: `r-${deviceId}` },
});
const originOf = (deviceId: string) => bed.store.read((records) => records.device(deviceId))?.keyOrigin;

test('TEST-KEY-17: an injected unit that asks again gets its package, certificate and record again, and the log tells of one key and one unit', async () => {
  const order = { ...at('KS-0001'), recipient: makeKey().spki, algorithm: 'P-256' } as const;
  const first = await bed.provisioning.injectUnit(order);
  const again = await bed.provisioning.injectUnit(order);
  assert.deepEqual([first.repeated, again.repeated], [false, true]);
  for (const part of ['envelope', 'certificate', 'record', 'auditSeq'] as const)
    assert.deepEqual(again[part], first[part]);
  assert.equal(originOf('KS-0001'), 'injected');
  assert.equal(bed.entries('unit.key-made').length, 1);
  const [done] = bed.entries('device.provisioned').slice(-1);
  assert.equal(done?.detail?.keyOrigin, 'injected');
});

test('TEST-KEY-17: a device that came another way is not injected afterwards, and the refusal is audited', async () => {
  await bed.provisioning.provisionUnit({ ...at('KS-0002'), csr: await csrFor('KS-0002', makeKey()) });
  const refusals = bed.entries('request.refused').length;
  const order = { ...at('KS-0002'), recipient: makeKey().spki, algorithm: 'P-256' } as const;
  assert.equal(await codeOf(bed.provisioning.injectUnit(order)), 'device.already-provisioned');
  assert.equal(bed.entries('request.refused').length, refusals + 1);
  assert.equal(originOf('KS-0002'), 'proof-of-possession');
});

test('TEST-KEY-03: a unit with a chip is recorded as one, and its challenge stands in the log', async () => {
  const chip = maker.chip('7001');
  const made = await bed.provisioning.challengeChip({ ...at('KS-0003'), chain: chip.chain });
  assert.equal(made.challenge.length, 32);
  const csr = await csrFor('KS-0003', chip);
  const way = { kind: 'secure-element', chain: chip.chain } as const;
  await bed.provisioning.provisionUnit({ ...at('KS-0003'), csr, way });
  assert.equal(originOf('KS-0003'), 'secure-element');
  assert.equal(bed.entries('chip.challenged').at(-1)?.detail?.chipSerial, '7001');
});
