import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { parseConsignment, parseReceipt, signResolution } from '@keystead/core/lifecycle';
import { DomainBed, makeKey } from '../../authority/tests/bed.ts';
import { CommissionedNode } from './commissioned-node.ts';

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;

let hq: DomainBed;
let berlin: CommissionedNode;
let lyon: CommissionedNode;

before(async () => {
  hq = await DomainBed.make({}, { factory: {} });
  berlin = await new CommissionedNode(hq, 'berlin-1').found();
  lyon = await new CommissionedNode(hq, 'lyon-2').found();
});

after(async () => {
  await berlin?.remove();
  await lyon?.remove();
  await hq?.remove();
});

test('TEST-KEY-17 units of a factory come into the records of headquarters once, however often they are sent, and can enrol then and not before', async () => {
  const key = await berlin.provision('KS-0001');
  const [made] = berlin.made.values();
  assert.ok(made);
  await assert.rejects(hq.keyd.enrol('KS-0001', made.certificate), code('requester.not-reconciled'));
  const parcel = await berlin.parcel(1);
  assert.equal((await berlin.parcel(1)).consignment, parcel.consignment, 'the same number is the same consignment');
  const { completeUntil, units } = parseConsignment(parcel.consignment).content;
  assert.ok(
    Date.parse(completeUntil ?? '') >= Date.parse(units.at(-1)?.at ?? ''),
    'it covers the newest unit that it tells',
  );
  const first = await hq.provisioning.takeParcel(parcel, 'exchange-1');
  const again = await hq.provisioning.takeParcel(parcel, 'exchange-2');
  assert.deepEqual([first.taken, first.repeated, again.repeated], [1, false, true]);
  assert.equal(first.receipt, again.receipt);
  assert.equal(hq.entries().filter(({ type }) => type === 'consignment.taken').length, 1);
  const told = hq
    .entries()
    .filter(({ type, subject }) => type === 'device.provisioned' && subject.device === 'KS-0001');
  assert.equal(told.length, 1);
  const record = hq.store.read((records) => records.provisioningRecord('KS-0001'));
  assert.equal(record?.record, made.record);
  assert.equal(record?.issuer, 'factory.berlin-1');
  assert.ok((await hq.keyd.enrol('KS-0001', made.certificate)).certificate);
  await assert.rejects(hq.keyd.provision('KS-0001', await hq.keyd.ticket(), key), code('device.already-provisioned'));
});

test('a node that is killed goes on with the next number, and gives out an earlier one as it was', async () => {
  const before = await berlin.parcel(1);
  await berlin.stop();
  await berlin.start();
  assert.equal((await berlin.parcel(1)).consignment, before.consignment);
  assert.equal((await berlin.client.signConsignment({ number: 2, requestId: 'r' })).document, null);
  await assert.rejects(berlin.client.signConsignment({ number: 4, requestId: 'r' }), code('consignment.number-ahead'));
  const hashes = { consignmentSha256: 'a'.repeat(64), contentsSha256: 'b'.repeat(64), requestId: 'r' };
  await assert.rejects(berlin.client.sealParcel({ number: 2, ...hashes }), code('consignment.number-ahead'));
  await assert.rejects(hq.keyd.client.signConsignment({ number: 1, requestId: 'r' }), code('consignment.not-a-node'));
});

test('TEST-KEY-19 the same key at two factories: the later one is in quarantine, both are in the log, and an operator says which is right', async () => {
  const key = await berlin.provision('KS-0002');
  await lyon.provision('KS-0003', key);
  const early = await hq.provisioning.takeParcel(await berlin.parcel(2), 'exchange-3');
  const late = await hq.provisioning.takeParcel(await lyon.parcel(1), 'exchange-4');
  assert.deepEqual([early.quarantined, late.quarantined], [0, 1]);
  assert.deepEqual(parseReceipt(late.receipt).content.quarantined[0]?.conflicts, [
    { conflict: 'key-known', with: 'berlin-1 KS-0002' },
  ]);
  const told = hq.entries().filter(({ type }) => type === 'unit.quarantined' || type === 'unit.contradicted');
  assert.deepEqual(
    told.map(({ type, subject }) => `${type} ${subject.device}`),
    ['unit.quarantined KS-0003', 'unit.contradicted KS-0002'],
  );
  const made = [...lyon.made.values()].at(-1);
  assert.ok(made);
  await assert.rejects(hq.keyd.enrol('KS-0003', made.certificate), code('requester.quarantined'));
  const { quarantined } = await hq.keyd.client.reconciliation();
  assert.deepEqual(
    quarantined.map(({ deviceId }) => deviceId),
    ['KS-0003'],
  );

  const now = hq.keyd.clock.now().getTime();
  const at = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const draft = {
    act: 'release' as const,
    id: 'r-1',
    factory: 'lyon-2',
    reason: 'seen on the bench',
    deviceId: 'KS-0003',
    serial: made.serial,
    signedAt: at(now),
    expiresAt: at(now + 3_600_000),
  };
  const forged = await signResolution(draft, 'ada', makeKey().signer);
  await assert.rejects(hq.provisioning.resolveConflict(forged, 'x'), code('resolution.signature-invalid'));
  const outsider = await signResolution(draft, 'lin', hq.keyd.people.lin.signer);
  await assert.rejects(hq.provisioning.resolveConflict(outsider, 'x'), code('resolution.signer-forbidden'));
  const resolution = await signResolution(draft, 'ada', hq.keyd.people.ada.signer);
  const done = await hq.provisioning.resolveConflict(resolution, 'resolve-1');
  assert.deepEqual(done.ended, [{ where: 'berlin-1', deviceId: 'KS-0002' }]);
  assert.equal((await hq.provisioning.resolveConflict(resolution, 'resolve-2')).repeated, true);
  assert.ok((await hq.keyd.enrol('KS-0003', made.certificate)).certificate);
  const other = [...berlin.made.values()].at(-1);
  assert.ok(other);
  await assert.rejects(hq.keyd.enrol('KS-0002', other.certificate), code('requester.quarantined'));
  assert.equal(hq.store.read((records) => records.device('KS-0003'))?.idevidSerial, made.serial);
});
