import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { after, before, beforeEach, test } from 'node:test';
import type { Serial } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { OnlineCa } from '@keystead/core/lifecycle';
import { OcspIssuer, readCrl } from '@keystead/core/x509';
import type { KeydClient } from '../../keyd-client/index.ts';
import { codeOf, csrFor, DomainBed, makeKey } from './bed.ts';

let bed: DomainBed;
/** Where the rooms end: after keyd has signed and written its journal, before anything else. */
let cutAfterSigning = false;
let duringSigning: (() => Promise<void>) | undefined;

const keyd = (client: KeydClient) => ({
  signCrl: client.signCrl.bind(client),
  listRevocations: client.listRevocations.bind(client),
  crlFile: client.crlFile.bind(client),
  signEvidence: client.signEvidence.bind(client),
  journal: client.journal.bind(client),
  status: client.status.bind(client),
  releaseHold: client.releaseHold.bind(client),
  trust: client.trust.bind(client),
  issue: (params: Parameters<KeydClient['issue']>[0]) => cut(client.issue(params)),
  provision: (params: Parameters<KeydClient['provision']>[0]) => cut(client.provision(params)),
});

async function cut<T>(signing: Promise<T>): Promise<T> {
  const signed = await signing;
  await duringSigning?.();
  if (cutAfterSigning) throw new KeysteadError('keyd.unreachable', { seen: 'the answer was lost' });
  return signed;
}

/** How many entries the log had when the test began. */
let begin = 0;

before(async () => {
  bed = await DomainBed.make({ keyd });
});
beforeEach(() => {
  cutAfterSigning = false;
  duringSigning = undefined;
  begin = bed.counts().entries;
});
after(() => bed.remove());

/** The entries of this test. */
const entries = (type: string) => bed.entries(type).filter(({ seq }) => seq >= begin);
const isListed = (role: 'operational' | 'manufacturing', serial: unknown): boolean =>
  [...readCrl(new Uint8Array(readFileSync(bed.crlPath(role)))).entries.keys()].some((listed) => listed === serial);

test('a signature that was lost on the way is audited and revoked at the next start, and the device gets its certificate', async () => {
  const device = await bed.device('KS-0001');
  const csr = await csrFor(device.id, makeKey());
  cutAfterSigning = true;
  const { client } = device;
  assert.equal(await codeOf(bed.authority.enrol({ client, csr, requestId: 'lost' })), 'keyd.unreachable');
  cutAfterSigning = false;
  const { certificates } = bed.counts();
  await bed.restart({ keyd });
  const [abandoned, ...more] = entries('certificate.abandoned');
  assert.deepEqual(more, []);
  assert.equal(abandoned?.requestId, 'lost');
  assert.equal(abandoned?.subject.owner, `device:${device.id}`);
  assert.equal(bed.counts().certificates, certificates);
  assert.ok(isListed('operational', abandoned?.subject.serial));
  // The same key, the same request: the device does not have to know what happened.
  const issued = await bed.authority.enrol({ client, csr, requestId: 'again' });
  assert.notEqual(issued.serial, abandoned?.subject.serial);
});

test('TEST-KEY-19 nobody else gets the key of a signature that was abandoned', async () => {
  const [first, second] = [await bed.device('KS-0002'), await bed.device('KS-0003')];
  const key = makeKey();
  cutAfterSigning = true;
  assert.equal(await codeOf(bed.enrol(first, key)), 'keyd.unreachable');
  cutAfterSigning = false;
  assert.equal((await bed.authority.reconcile()).abandoned.length, 1);
  assert.equal(await codeOf(bed.enrol(second, key)), 'key.already-used');
  assert.equal((await bed.enrol(first, key)).repeated, false);
});

test('a unit whose power was cut after the signature is provisioned again with the same key, within the quota', async () => {
  const key = makeKey();
  const units = (await bed.keyd.client.status()).tickets[0]?.units ?? 0;
  cutAfterSigning = true;
  assert.equal(await codeOf(bed.device('KS-0004', key)), 'keyd.unreachable');
  cutAfterSigning = false;
  await bed.restart({ keyd });
  assert.equal(entries('certificate.abandoned').length, 1);
  assert.ok(isListed('manufacturing', entries('certificate.abandoned')[0]?.subject.serial));
  await bed.device('KS-0004', key);
  assert.equal((await bed.keyd.client.status()).tickets[0]?.units, units + 1);
});

test('what is under way is not taken for lost', async () => {
  const device = await bed.device('KS-0005');
  duringSigning = async () => {
    duringSigning = undefined;
    assert.deepEqual((await bed.authority.reconcile()).abandoned, []);
  };
  const issued = await bed.enrol(device);
  assert.deepEqual((await bed.authority.reconcile()).abandoned, []);
  assert.equal(bed.authority.statusOf('operational', issued.serial).status, 'good');
});

test('a device that is blocked between the signature and the record gets nothing, and the signature is revoked', async () => {
  const device = await bed.device('KS-0006');
  duringSigning = async () => {
    duringSigning = undefined;
    const actor = { kind: 'operator', id: 'ada' } as const;
    const selector = { deviceId: device.id };
    await bed.authority.revoke({ selector, reason: 'keyCompromise', actor, requestId: 'stolen' });
  };
  assert.equal(await codeOf(bed.enrol(device)), 'device.blocked');
  const [abandoned] = entries('certificate.abandoned');
  assert.equal(abandoned?.detail?.why, 'device.blocked');
  await bed.authority.publishCrl('operational');
  assert.ok(isListed('operational', abandoned?.subject.serial));
  assert.equal(entries('certificate.issued').length, 1);
});

test("keyd's own certificates are recorded as its own, once, and are good", async () => {
  const certId = new OcspIssuer(bed.cas.operational).certId('0a' as Serial);
  await bed.keyd.client.signOcsp({ issuer: 'operational', responses: [{ certId, status: 'unknown' }] });
  const digest = { hash: 'sha256', imprint: new Uint8Array(32), certReq: false, requestId: 'stamp' } as const;
  await bed.keyd.client.signTimestamp(digest);
  await bed.authority.reconcile();
  const own = bed.entries('keyd.certificate-made');
  const profiles = new Set(own.map(({ subject }) => subject.profile));
  assert.deepEqual(profiles, new Set(['evidence-signer', 'ocsp-responder', 'tsa-signer']));
  for (const { subject } of own) {
    assert.deepEqual(bed.authority.statusOf(subject.issuer as OnlineCa, subject.serial as Serial), { status: 'good' });
  }
  await bed.authority.reconcile();
  await bed.restart({ keyd });
  assert.equal(bed.entries('keyd.certificate-made').length, own.length);
  assert.equal(entries('certificate.abandoned').length, 0);
});

test('a locked database loses nothing: the signature is found again, and the device asks again', async () => {
  await bed.restart({ keyd, storeOptions: { lockWait: { tries: 2, everyMs: 1 } } });
  const device = await bed.device('KS-0007');
  const csr = await csrFor(device.id, makeKey());
  const other = new DatabaseSync(bed.keyd.rehearsal.layout.database);
  other.exec('begin exclusive');
  const earlier = bed.counts();
  const { client } = device;
  assert.equal(await codeOf(bed.authority.enrol({ client, csr, requestId: 'locked' })), 'store.locked');
  other.exec('rollback');
  other.close();
  assert.deepEqual(bed.counts(), earlier);
  assert.equal((await bed.authority.reconcile()).abandoned.length, 1);
  assert.equal((await bed.authority.enrol({ client, csr, requestId: 'free' })).repeated, false);
});

test('a clock that jumped back stops every change before anything is signed', async () => {
  const device = await bed.device('KS-0008');
  const issued = await bed.enrol(device);
  const signed = (await bed.keyd.client.status()).certificates;
  bed.clock.advance(-3600);
  const earlier = bed.counts();
  const actor = { kind: 'operator', id: 'ada' } as const;
  const selector = { serial: issued.serial };
  assert.equal(await codeOf(bed.enrol(device)), 'clock.went-back');
  assert.equal(await codeOf(bed.device('KS-0009')), 'clock.went-back');
  const revocation = bed.authority.revoke({ selector, reason: 'keyCompromise', actor, requestId: 'back' });
  assert.equal(await codeOf(revocation), 'clock.went-back');
  assert.deepEqual(bed.counts(), earlier);
  assert.equal((await bed.keyd.client.status()).certificates, signed);
  bed.clock.advance(3600);
  assert.equal((await bed.enrol(device)).repeated, false);
});
