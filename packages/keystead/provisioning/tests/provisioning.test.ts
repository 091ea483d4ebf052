import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { addTicketSignature, nameWiped, signWipeEvidence } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { parse } from 'yaml';
import { codeOf, csrFor, DomainBed, makeKey, type TestKey } from '../../authority/tests/bed.ts';
import type { KeydClient } from '../../keyd-client/index.ts';
import type { UnitOrder } from '../index.ts';

let bed: DomainBed;
let failEvidence = false;
const keyd = (client: KeydClient) => ({
  issue: client.issue.bind(client),
  provision: client.provision.bind(client),
  signCrl: client.signCrl.bind(client),
  listRevocations: client.listRevocations.bind(client),
  crlFile: client.crlFile.bind(client),
  journal: client.journal.bind(client),
  status: client.status.bind(client),
  releaseHold: client.releaseHold.bind(client),
  trust: client.trust.bind(client),
  signEvidence: (params: Parameters<KeydClient['signEvidence']>[0]) =>
    failEvidence ? Promise.reject(new KeysteadError('keyd.unreachable')) : client.signEvidence(params),
});
before(async () => {
  bed = await DomainBed.make({ keyd });
  await bed.openBatch();
});
after(() => bed.remove());

const lin = { kind: 'operator', id: 'lin' } as const;
const unit = async (deviceId: string, key: TestKey = makeKey(), more: Partial<UnitOrder> = {}): Promise<UnitOrder> => ({
  ticketId: 'batch-1',
  deviceId,
  csr: await csrFor(deviceId, key),
  station: 'station-1',
  operator: 'lin',
  line: 'line-1',
  requestId: `unit-${deviceId}`,
  ...more,
});

/** Asserts that `act` is refused with `code`, audited once, and changes nothing else. */
async function refused(code: string, act: Promise<unknown>): Promise<void> {
  const refusals = bed.entries('request.refused').length;
  const { certificates } = bed.counts();
  assert.equal(await codeOf(act), code);
  assert.equal(bed.counts().certificates, certificates);
  assert.equal(bed.entries('request.refused').length, refusals + 1);
  assert.equal(bed.entries().at(-1)?.detail?.code, code);
}

/** Whether openssl verifies a signature over a file with the evidence signer's key. */
async function opensslVerifies(file: string): Promise<boolean> {
  const { evidenceSigner } = await bed.keyd.client.trust();
  const key = join(bed.keyd.rehearsal.dir, 'evidence.pub');
  writeFileSync(key, toPem('PUBLIC KEY', readCertificate(evidenceSigner).spki));
  const arguments_ = ['dgst', '-sha256', '-verify', key, '-signature', `${file}.sig`, file];
  return execFileSync('openssl', arguments_, { encoding: 'utf8' }).includes('Verified OK');
}

const recordPath = (deviceId: string): string => join(bed.keyd.rehearsal.layout.records, `${deviceId}.yaml`);
const evidencePath = (deviceId: string): string =>
  join(bed.keyd.rehearsal.layout.evidence, `${deviceId}.decommission.yaml`);

test('TEST-KEY-18 a record that takes the place of another while that one is written is a file as well, before anybody is answered', async () => {
  const [deviceId, next] = ['KS-0071', 'KS-0072'];
  await bed.provisioning.provisionUnit(await unit(deviceId));
  const { store } = bed;
  const before = store.read((records) => records.provisioningRecord(deviceId)) ?? assert.fail('no record');
  const { exportedAt: _exportedAt, ...row } = before;
  const replaced = { ...row, record: `${row.record}# again\n`, signature: Buffer.from('another signature') };
  await store.commit((tx) => tx.reconciliation.replaceRecord(replaced));
  // What a round notes that began before: the file that it wrote is that of the old one.
  await store.commit((tx) => tx.recordExported(deviceId, before.signature, bed.clock.now().getTime()));
  await bed.provisioning.provisionUnit(await unit(next));
  assert.equal(readFileSync(recordPath(deviceId), 'utf8'), replaced.record);
  assert.deepEqual(
    store.read((records) => records.unexportedRecords(1)),
    [],
  );
});

test('a batch is opened once; the same ticket again changes nothing, a forged one is refused', async () => {
  const ticket = await bed.keyd.ticket({ id: 'batch-2' });
  const order = { ticket, actor: lin, requestId: 'open' };
  assert.equal((await bed.provisioning.openBatch(order)).repeated, false);
  const { entries } = bed.counts();
  assert.equal((await bed.provisioning.openBatch(order)).repeated, true);
  assert.equal(bed.counts().entries, entries);
  const other = await bed.keyd.ticket({ id: 'batch-2', quota: 11 });
  await refused('ticket.id-reused', bed.provisioning.openBatch({ ...order, ticket: other }));
  const forged = await bed.keyd.ticket({ id: 'batch-3' }, { name: 'ada', key: makeKey() });
  await refused('ticket.signature-invalid', bed.provisioning.openBatch({ ...order, ticket: forged }));
  const byLin = await bed.keyd.ticket({ id: 'batch-4' }, { name: 'lin', key: bed.keyd.people.lin });
  await refused('ticket.signer-forbidden', bed.provisioning.openBatch({ ...order, ticket: byLin }));
  await refused('ticket.malformed', bed.provisioning.openBatch({ ...order, ticket: '{}' }));
});

test('a batch whose signer has left the policy is opened anew by the same ticket with the signature of another', async () => {
  const draft = await bed.keyd.ticket({ id: 'batch-4' });
  const unsigned = JSON.stringify({ payload: JSON.parse(draft).payload, signatures: [] });
  const stale = await addTicketSignature(unsigned, 'gone', makeKey().signer);
  const order = { ticket: draft, actor: lin, requestId: 'open' };
  await bed.provisioning.openBatch(order);
  // As it stands after its signer has left: the policy in force does not know them.
  await bed.store.commit((tx) => tx.signTicketAnew({ ticketId: 'batch-4', text: stale, signer: 'gone' }));
  assert.equal((await bed.provisioning.openBatch(order)).repeated, false);
  const opened = bed.store.read((records) => records.ticket('batch-4'));
  assert.deepEqual([opened?.text, opened?.signer], [draft, 'ada']);
  assert.equal((await bed.provisioning.openBatch(order)).repeated, true);
});

test('TEST-KEY-12 a revoked identity is no pass: the same unit is refused, and the record stays as it is', async () => {
  const key = makeKey();
  const { serial } = await bed.provisioning.provisionUnit(await unit('KS-0097', key));
  await bed.authority.revoke({
    selector: { serial },
    reason: 'privilegeWithdrawn',
    actor: lin,
    requestId: 'withdrawn',
  });
  await refused('device.blocked', bed.provisioning.provisionUnit(await unit('KS-0097', key)));
});

test('TEST-KEY-18 a unit gets its IDevID and a signed record as a file, and both stand in the audit log', async () => {
  const done = await bed.provisioning.provisionUnit(await unit('KS-0001'));
  const record = readFileSync(recordPath('KS-0001'), 'utf8');
  assert.equal(record, done.record);
  assert.equal(parse(record).device_id, 'KS-0001');
  assert.ok(await opensslVerifies(recordPath('KS-0001')));
  const entries = bed.entries().filter(({ requestId }) => requestId === 'unit-KS-0001');
  assert.deepEqual(
    entries.map(({ type }) => type),
    ['certificate.issued', 'device.provisioned'],
  );
  assert.equal(entries[1]?.seq, done.auditSeq);
  assert.equal(bed.store.read((records) => records.provisioningRecord('KS-0001'))?.auditSeq, done.auditSeq);
});

test('the same unit with the same key gets what it has, also with a new request; with another key it is refused', async () => {
  const key = makeKey();
  const first = await bed.provisioning.provisionUnit(await unit('KS-0002', key));
  const { entries } = bed.counts();
  const again = await bed.provisioning.provisionUnit(await unit('KS-0002', key));
  assert.equal(again.repeated, true);
  assert.deepEqual(again.certificate, first.certificate);
  assert.equal(again.record, first.record);
  assert.equal(bed.counts().entries, entries);
  await refused('device.already-provisioned', bed.provisioning.provisionUnit(await unit('KS-0002')));
});

test('the same unit at two stations at once is provisioned once', async () => {
  const key = makeKey();
  const [one, two] = await Promise.all([
    bed.provisioning.provisionUnit(await unit('KS-0003', key)),
    bed.provisioning.provisionUnit(await unit('KS-0003', key)),
  ]);
  assert.deepEqual(one.certificate, two.certificate);
  assert.equal(bed.entries('device.provisioned').filter(({ subject }) => subject.device === 'KS-0003').length, 1);
});

test('TEST-KEY-19 a second unit that offers a known key is refused, and both are reported', async () => {
  const key = makeKey();
  await bed.provisioning.provisionUnit(await unit('KS-0004', key));
  await refused('key.already-used', bed.provisioning.provisionUnit(await unit('KS-0005', key)));
  const entry = bed.entries('request.refused').at(-1);
  assert.equal(entry?.subject.device, 'KS-0005');
  assert.equal(entry?.detail?.owner, 'device:KS-0004');
  const both = makeKey();
  const outcomes = await Promise.all([
    codeOf(bed.provisioning.provisionUnit(await unit('KS-0006', both))),
    codeOf(bed.provisioning.provisionUnit(await unit('KS-0007', both))),
  ]);
  assert.deepEqual(outcomes.sort(), ['key.already-used', 'nothing was thrown']);
});

test('what the ticket does not allow is refused and audited', async () => {
  const provision = async (order: Promise<UnitOrder>) => bed.provisioning.provisionUnit(await order);
  await refused('ticket.unknown', provision(unit('KS-0010', makeKey(), { ticketId: 'batch-9' })));
  await refused('ticket.line-forbidden', provision(unit('KS-0010', makeKey(), { line: 'line-9' })));
  await refused('ticket.device-forbidden', provision(unit('KS-9999')));
  await refused('operator.forbidden', provision(unit('KS-0010', makeKey(), { operator: 'aud' })));
  await refused('device.id-malformed', provision(unit('KS-0010', makeKey(), { deviceId: '../etc' })));
  assert.equal(existsSync(recordPath('KS-0010')), false);
});

test('TEST-KEY-17 the unit after the last of a batch is refused', async () => {
  const ticket = await bed.keyd.ticket({ id: 'batch-5', quota: 2 });
  await bed.provisioning.openBatch({ ticket, actor: lin, requestId: 'open' });
  const ids = ['KS-0020', 'KS-0021', 'KS-0022'];
  const orders = await Promise.all(ids.map((id) => unit(id, makeKey(), { ticketId: 'batch-5' })));
  const outcomes = await Promise.all(orders.map((order) => codeOf(bed.provisioning.provisionUnit(order))));
  assert.deepEqual(outcomes.sort(), ['nothing was thrown', 'nothing was thrown', 'ticket.quota-exhausted']);
});

test('a unit whose record could not be written as a file fails, and has it when it is asked for again', async () => {
  const path = recordPath('KS-0050');
  mkdirSync(join(path, 'in the way'), { recursive: true });
  const key = makeKey();
  await assert.rejects(bed.provisioning.provisionUnit(await unit('KS-0050', key)));
  rmSync(path, { recursive: true });
  const again = await bed.provisioning.provisionUnit(await unit('KS-0050', key));
  assert.equal(again.repeated, true);
  assert.equal(readFileSync(path, 'utf8'), again.record);
});

test('a record whose file was lost in a crash is written at the next start', async () => {
  await bed.provisioning.provisionUnit(await unit('KS-0030'));
  rmSync(recordPath('KS-0030'));
  // As if the crash had come between the COMMIT and the file.
  await bed.crash();
  const { DatabaseSync } = await import('node:sqlite');
  const database = new DatabaseSync(bed.keyd.rehearsal.layout.database);
  database.exec("update provisioning_record set exported_at = null where device_id = 'KS-0030'");
  database.close();
  await bed.start({ keyd });
  assert.ok(await opensslVerifies(recordPath('KS-0030')));
});

test('TEST-KEY-24 a decommissioned device loses all it has and gets nothing more, and the evidence is signed', async () => {
  const device = await bed.device('KS-0040');
  const issued = await bed.enrol(device);
  const order = {
    deviceId: device.id,
    reason: 'end of life',
    operator: 'ada',
    wiped: ['idevid', 'ldevid'],
    requestId: 'd-1',
  };
  const done = await bed.provisioning.decommission(order);
  assert.equal(done.revoked.length, 2);
  assert.equal(readFileSync(evidencePath(device.id), 'utf8'), done.document);
  assert.ok(await opensslVerifies(evidencePath(device.id)));
  for (const serial of [issued.serial, readCertificate(device.idevid).serial])
    assert.match(done.document, new RegExp(serial));
  assert.equal(bed.authority.statusOf('operational', issued.serial).status, 'revoked');
  assert.equal(await codeOf(bed.client(device.idevid)), 'client.certificate-revoked');
  await refused('device.blocked', bed.enrol(device));
  await refused('device.blocked', bed.provisioning.provisionUnit(await unit(device.id, device.key)));
  assert.equal(bed.entries('device.decommissioned').length, 1);
  assert.equal(bed.entries('evidence.signed').length, 1);

  const again = await bed.provisioning.decommission({ ...order, requestId: 'd-2' });
  assert.equal(again.document, done.document);
  assert.equal(bed.entries('evidence.signed').length, 1);
  await refused('device.unknown', bed.provisioning.decommission({ ...order, deviceId: 'KS-0099' }));
});

test("TEST-KEY-24 a device's own evidence of its wipe is collected: verified by its IDevID, entered once, also after the device was ended as lost", async () => {
  const [device, other] = [await bed.device('KS-0048'), await bed.device('KS-0049')];
  const claims = {
    v: 1 as const,
    deviceId: device.id,
    at: '2027-01-15T12:00:00.000Z',
    idevidSerial: readCertificate(device.idevid).serial,
    ...nameWiped([
      'current: file key.1',
      'idevid: file key.2',
      ...Array.from({ length: 65 }, (_, index) => `left over: file ${index}`),
    ]),
    limits: 'Flash may keep older cells.',
  };
  const order = { deviceId: device.id, reason: 'end of life', operator: 'ada', wiped: [], requestId: 'w-1' };
  const wipeEvidence = await signWipeEvidence(claims, device.key.signer);
  const bad: readonly [string, string][] = [
    ['evidence.wipe-malformed', '{}'],
    ['evidence.wipe-signature', await signWipeEvidence(claims, other.key.signer)],
    ['evidence.wipe-signature', wipeEvidence.replace('"signature":"', '"signature":"A')],
    ['evidence.wipe-device', await signWipeEvidence({ ...claims, deviceId: other.id }, device.key.signer)],
  ];
  for (const [code, text] of bad) {
    assert.equal(await codeOf(bed.provisioning.decommission({ ...order, wipeEvidence: text })), code);
    assert.equal(bed.entries('device.wipe-collected').length, 0, code);
  }
  const done = await bed.provisioning.decommission({ ...order, wipeEvidence });
  assert.match(done.document, /signed by the device at 2027-01-15T12:00:00.000Z, SHA-256 [0-9a-f]{64}/);
  assert.match(done.document, /idevid: file key.2/);
  assert.match(done.document, /and 7 more, SHA-256 of their names [0-9a-f]{64}/);
  await bed.provisioning.decommission({ ...order, wipeEvidence });
  assert.equal(bed.entries('device.wipe-collected').length, 1);

  const lost = { ...order, deviceId: other.id };
  await bed.provisioning.decommission(lost);
  const found = { ...claims, deviceId: other.id, idevidSerial: readCertificate(other.idevid).serial };
  await bed.provisioning.decommission({ ...lost, wipeEvidence: await signWipeEvidence(found, other.key.signer) });
  assert.equal(bed.entries('device.wipe-collected').at(-1)?.subject?.device, other.id);
});

test('a decommissioning that was cut short stands, and its evidence is signed at the next start', async () => {
  const device = await bed.device('KS-0041');
  failEvidence = true;
  const order = { deviceId: device.id, reason: 'scrapped', operator: 'ada', wiped: [], requestId: 'd-3' };
  assert.equal(await codeOf(bed.provisioning.decommission(order)), 'keyd.unreachable');
  assert.equal(await codeOf(bed.client(device.idevid)), 'client.certificate-revoked');
  assert.equal(existsSync(evidencePath(device.id)), false);
  failEvidence = false;
  await bed.restart({ keyd });
  assert.match(readFileSync(evidencePath(device.id), 'utf8'), /scrapped/);
  assert.ok(await opensslVerifies(evidencePath(device.id)));
});
