import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { type Serial, toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { OnlineCa } from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { codeOf, DomainBed } from './bed.ts';

let bed: DomainBed;
let keydAway = false;
const interposed = {
  keyd: (client: Parameters<NonNullable<Parameters<DomainBed['start']>[0]>['keyd'] & object>[0]) => ({
    issue: client.issue.bind(client),
    provision: client.provision.bind(client),
    signEvidence: client.signEvidence.bind(client),
    journal: client.journal.bind(client),
    status: client.status.bind(client),
    releaseHold: client.releaseHold.bind(client),
    trust: client.trust.bind(client),
    listRevocations: client.listRevocations.bind(client),
    crlFile: client.crlFile.bind(client),
    signCrl: (params: Parameters<typeof client.signCrl>[0]) =>
      keydAway ? Promise.reject(new KeysteadError('keyd.unreachable')) : client.signCrl(params),
  }),
};
before(async () => {
  bed = await DomainBed.make(interposed);
});
after(() => bed.remove());

const actor = { kind: 'operator', id: 'ada' } as const;
const published = (role: OnlineCa) => readCrl(new Uint8Array(readFileSync(bed.crlPath(role))));

test('every online CA has a CRL from the first start, which openssl verifies', () => {
  for (const [role, certificate] of Object.entries(bed.cas) as [OnlineCa, (typeof bed.cas)[OnlineCa]][]) {
    const ca = `${bed.crlPath(role)}.pem`;
    writeFileSync(ca, toPem('CERTIFICATE', certificate));
    const arguments_ = ['crl', '-inform', 'DER', '-in', bed.crlPath(role), '-CAfile', ca, '-noout'];
    const out = execFileSync('openssl', arguments_, { stdio: 'pipe', encoding: 'utf8' });
    rmSync(ca);
    assert.equal(out, '');
    assert.ok(published(role).number >= 1);
  }
});

test('TEST-KEY-08 a revoked serial is on the CRL and in the status when the answer comes, with its reason', async () => {
  const device = await bed.device('KS-0001');
  const issued = await bed.enrol(device);
  const before = published('operational').number;
  const heard: string[] = [];
  const stop = bed.authority.onStatusChanged((issuer, serial) => heard.push(`${issuer} ${serial}`));
  const order = { selector: { serial: issued.serial }, reason: 'superseded', actor, requestId: 'r-1' } as const;
  const done = await bed.authority.revoke(order);
  stop();
  assert.equal(done.onCrl, true);
  assert.deepEqual(heard, [`operational ${issued.serial}`]);
  assert.deepEqual(bed.authority.statusOf('operational', issued.serial), {
    status: 'revoked',
    revokedAt: bed.clock.now(),
    reason: 'superseded',
  });
  const crl = published('operational');
  assert.ok(crl.number > before);
  assert.equal(crl.entries.get(issued.serial)?.reason, 'superseded');
  const [entry] = bed.entries('certificate.revoked').filter(({ subject }) => subject.serial === issued.serial);
  assert.equal(entry?.actor.id, 'ada');
  assert.equal(entry?.detail?.reason, 'superseded');

  // Again: the same answer and no other entry. Another reason: refused, the first one stays.
  const entries = bed.entries('certificate.revoked').length;
  assert.equal((await bed.authority.revoke(order)).certificates[0]?.reason, 'superseded');
  assert.equal(await codeOf(bed.authority.revoke({ ...order, reason: 'keyCompromise' })), 'revocation.final');
  assert.equal(bed.entries('certificate.revoked').length, entries);
  assert.equal(bed.entries('request.refused').at(-1)?.detail?.code, 'revocation.final');
});

test('a device that is reported stolen loses all it has in one step', async () => {
  const device = await bed.device('KS-0002');
  const issued = await bed.enrol(device);
  const selector = { deviceId: device.id };
  const done = await bed.authority.revoke({ selector, reason: 'keyCompromise', actor, requestId: 'stolen' });
  assert.deepEqual(
    new Set(done.certificates.map(({ serial }) => serial)),
    new Set([issued.serial, readCertificate(device.idevid).serial]),
  );
  assert.equal(bed.store.read((records) => records.device(device.id))?.state, 'stolen');
  assert.ok(published('manufacturing').entries.has(readCertificate(device.idevid).serial));
  assert.ok(published('operational').entries.has(issued.serial));
  assert.equal(bed.entries('device.stolen').length, 1);
});

test('a certificate is revoked by its key; what is not in the records is refused and audited', async () => {
  const device = await bed.device('KS-0003');
  const issued = await bed.enrol(device);
  const { spkiSha256 } = readCertificate(issued.certificate);
  const by = { reason: 'keyCompromise', actor, requestId: 'by-key' } as const;
  await bed.authority.revoke({ ...by, selector: { spkiSha256 } });
  assert.equal(bed.authority.statusOf('operational', issued.serial).status, 'revoked');
  const unknown = { serial: '0102' as Serial };
  assert.equal(await codeOf(bed.authority.revoke({ ...by, selector: unknown })), 'certificate.unknown');
  assert.equal(await codeOf(bed.authority.revoke({ ...by, selector: { deviceId: 'KS-9999' } })), 'device.unknown');
  assert.deepEqual(
    bed
      .entries('request.refused')
      .slice(-2)
      .map(({ detail }) => detail?.code),
    ['certificate.unknown', 'device.unknown'],
  );
});

test('what was never issued is unknown', () => {
  assert.deepEqual(bed.authority.statusOf('operational', '0a' as Serial), { status: 'unknown' });
});

test('while keyd is away a revocation stands, and its CRL comes when keyd is back', async () => {
  const device = await bed.device('KS-0004');
  const issued = await bed.enrol(device);
  const before = published('operational').number;
  keydAway = true;
  const selector = { serial: issued.serial };
  const done = await bed.authority.revoke({ selector, reason: 'keyCompromise', actor, requestId: 'away' });
  assert.equal(done.onCrl, false);
  assert.equal(bed.authority.statusOf('operational', issued.serial).status, 'revoked');
  assert.equal(published('operational').number, before);
  keydAway = false;
  await bed.authority.tick();
  assert.ok(published('operational').entries.has(issued.serial));
});

test('a revocation that no CRL had when everything stopped is on one after the next start', async () => {
  const device = await bed.device('KS-0006');
  const issued = await bed.enrol(device);
  bed.clock.advance(60);
  keydAway = true;
  const selector = { serial: issued.serial };
  const done = await bed.authority.revoke({ selector, reason: 'keyCompromise', actor, requestId: 'stopped' });
  assert.equal(done.onCrl, false);
  assert.ok(!published('operational').entries.has(issued.serial));
  keydAway = false;
  bed.clock.advance(5);
  await bed.restart(interposed);
  assert.ok(published('operational').entries.has(issued.serial));
  const { number } = published('operational');
  bed.clock.advance(60);
  await bed.restart(interposed);
  assert.equal(published('operational').number, number, 'a start with nothing new makes no CRL');
});

test('many revocations at once share few CRLs, and the last has them all', async () => {
  const device = await bed.device('KS-0005');
  const serials: Serial[] = [];
  for (let i = 0; i < 12; i += 1) serials.push((await bed.enrol(device)).serial);
  const before = published('operational').number;
  const reason = 'superseded';
  await Promise.all(
    serials.map((serial) => bed.authority.revoke({ selector: { serial }, reason, actor, requestId: `many-${serial}` })),
  );
  const crl = published('operational');
  for (const serial of serials) assert.ok(crl.entries.has(serial));
  assert.ok(crl.number - before <= 3, `${crl.number - before} CRLs`);
});

test('TEST-KEY-08 a CRL is made again in time, and a lost file is replaced at the start', async () => {
  const first = published('server');
  bed.clock.advance(bed.policy.revocation.crlRefreshSeconds + 1);
  await bed.authority.tick();
  const second = published('server');
  assert.ok(second.number > first.number);
  assert.ok(second.thisUpdate < first.nextUpdate);
  rmSync(bed.crlPath('server'));
  writeFileSync(bed.crlPath('operator'), 'half a file');
  await bed.restart(interposed);
  assert.ok(existsSync(bed.crlPath('server')));
  assert.ok(published('server').number > second.number);
  assert.ok(published('operator').number >= 1);
});
