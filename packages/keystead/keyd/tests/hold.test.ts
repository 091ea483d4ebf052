import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { OcspIssuer, readCrl } from '@keystead/core/x509';
import type { Result } from '../../keyd-client/index.ts';
import { KeydBed } from './bed.ts';
import { type OrderDraft, orderOf, releaseOf, signedBy } from './release.ts';

let bed: KeydBed;
let idevid: DerCertificate;
let trust: Result<'trust'>;
let number = 0;

before(async () => {
  bed = await KeydBed.make({
    revocation: {
      authority: [{ selectors: ['device'], acts: ['release'], approvals: 1, roles: ['policy-administrator'] }],
    },
  });
  trust = await bed.client.trust();
  idevid = (await bed.provision('KS-0001', await bed.ticket())).certificate;
});
after(() => bed.remove());

async function list(entries: Parameters<KeydBed['client']['signCrl']>[0]['entries'] = []) {
  number += 1;
  return readCrl((await bed.client.signCrl({ issuer: 'operational', number, entries })).crl).entries;
}

async function onHold(): Promise<{ serial: Serial; certificate: DerCertificate; revokedAt: Date }> {
  const { serial, certificate } = await bed.enrol('KS-0001', idevid);
  const revokedAt = bed.clock.now();
  await list([{ serial, revokedAt, reason: 'certificateHold' }]);
  bed.clock.advance(1);
  return { serial, certificate, revokedAt };
}

function good(serial: Serial): Promise<unknown> {
  const issuer = new OcspIssuer(trust.certificates.operational as DerCertificate);
  return bed.client.signOcsp({
    issuer: 'operational',
    responses: [{ certId: issuer.certId(serial), status: 'good' }],
  });
}

const one = (serial: Serial): OrderDraft => releaseOf([{ issuer: 'operational', serial }]);
const certificatesOf = (...serials: Serial[]) => serials.map((serial) => ({ issuer: 'operational' as const, serial }));

async function release(statements: string[], ...serials: Serial[]) {
  return bed.client.releaseHold({ statements, certificates: certificatesOf(...serials), requestId: 'release' });
}

test('TEST-KEY-13 a compromised front end cannot take a hold back: not by leaving it out, by OCSP, by the certificate itself, nor by a restart', async () => {
  const { serial, certificate } = await onHold();
  for (let start = 0; start < 2; start += 1) {
    assert.equal((await list()).get(serial)?.reason, 'certificateHold');
    await assert.rejects(good(serial), { code: 'revocation.undone' });
    await assert.rejects(bed.enrol('KS-0001', certificate), { code: 'requester.revoked' });
    await bed.restart();
  }
});

test('TEST-KEY-08 a hold that an operator signs away is good again, at once and after a restart; a hold of the same time is not begun again', async () => {
  const { serial, revokedAt } = await onHold();
  const statements = [await signedBy(bed, 'ada', one(serial))];
  const done = await release(statements, serial);
  assert.deepEqual(done.released, certificatesOf(serial));
  assert.equal(done.by, 'ada');
  for (let start = 0; start < 2; start += 1) {
    await good(serial);
    assert.equal((await list([{ serial, revokedAt, reason: 'certificateHold' }])).has(serial), false);
    await bed.restart();
  }
  // Again: the first answer. A later hold is another one, which the old order does not release.
  assert.deepEqual((await release(statements, serial)).at, done.at);
  assert.ok((await list([{ serial, revokedAt: bed.clock.now(), reason: 'certificateHold' }])).has(serial));
  assert.deepEqual((await release(statements, serial)).at, done.at);
  await assert.rejects(good(serial), { code: 'revocation.undone' });
});

test('a hold goes on to a revocation for good, which no order releases', async () => {
  const { serial } = await onHold();
  const entries = await list([{ serial, revokedAt: bed.clock.now(), reason: 'keyCompromise' }]);
  assert.equal(entries.get(serial)?.reason, 'keyCompromise');
  for (let start = 0; start < 2; start += 1) {
    const statements = [await signedBy(bed, 'ada', one(serial))];
    await assert.rejects(release(statements, serial), { code: 'revocation.not-on-hold' });
    assert.equal((await list()).get(serial)?.reason, 'keyCompromise');
    await bed.restart();
  }
});

test('TEST-KEY-13 an order of release is refused that is forged, of another list, another act, out of time, or by who may not', async () => {
  const { serial } = await onHold();
  const other = (await onHold()).serial;
  const order = one(serial);
  const statement = await signedBy(bed, 'ada', order);
  const forged = JSON.parse(statement) as { signature: string; signer: string };
  const refused = async (code: string, statements: string[], ...serials: Serial[]): Promise<void> => {
    await assert.rejects(release(statements, ...serials), { code });
    await assert.rejects(good(serial), { code: 'revocation.undone' });
  };
  const entries = (await bed.client.status()).crlNumbers;
  await refused('revocation-request.signature-invalid', [JSON.stringify({ ...forged, signature: 'AAAA' })], serial);
  await refused('revocation-request.signature-invalid', [JSON.stringify({ ...forged, signer: 'pol' })], serial);
  await refused('revocation-request.signer-unknown', [JSON.stringify({ ...forged, signer: 'eve' })], serial);
  await refused('revocation-request.signer-forbidden', [await signedBy(bed, 'lin', order)], serial);
  await refused('revocation-request.list-differs', [statement], other);
  await refused('revocation-request.list-differs', [statement], serial, other);
  await refused('revocation-request.malformed', [await signedBy(bed, 'ada', { ...order, act: 'hold' })], serial);
  await refused('revocation-request.malformed', ['{}'], serial);
  await refused('revocation-request.expired', [await signedBy(bed, 'ada', order, { age: 7200 })], serial);
  await refused('revocation-request.not-yet-valid', [await signedBy(bed, 'ada', order, { age: -3600 })], serial);
  await refused('revocation-request.too-long', [await signedBy(bed, 'ada', order, { seconds: 40 * 86_400 })], serial);
  assert.deepEqual((await bed.client.status()).crlNumbers, entries);
  await release([statement], serial);
  await good(serial);
});

test('TEST-KEY-13 where the policy asks for two, one alone releases nothing, nobody counts twice, and each must mean the same', async () => {
  const { serial } = await onHold();
  const order = releaseOf([{ issuer: 'operational', serial }], { kind: 'device', deviceId: 'KS-0001' });
  const proposal = await signedBy(bed, 'ada', order);
  const approval = await signedBy(bed, 'pol', order, { act: 'approve', proposer: 'ada' });
  await assert.rejects(release([proposal], serial), { code: 'revocation-request.too-few' });
  await assert.rejects(release([proposal, proposal], serial), { code: 'revocation-request.malformed' });
  const self = await signedBy(bed, 'ada', order, { act: 'approve', proposer: 'ada' });
  await assert.rejects(release([proposal, self], serial), { code: 'revocation-request.self' });
  await assert.rejects(release([proposal, approval, approval], serial), { code: 'revocation-request.duplicate' });
  const elsewhere = await signedBy(bed, 'pol', { ...order, id: 'another' }, { act: 'approve', proposer: 'ada' });
  await assert.rejects(release([proposal, elsewhere], serial), { code: 'revocation-request.other-order' });
  await assert.rejects(release([approval, proposal], serial), { code: 'revocation-request.malformed' });
  await assert.rejects(good(serial), { code: 'revocation.undone' });
  const done = await release([proposal, approval], serial);
  assert.deepEqual(done.approvers, ['pol']);
  await good(serial);
});

test('TEST-KEY-13 an order that was signed for an earlier hold does not release a later one', async () => {
  const { serial } = await onHold();
  const unused = await signedBy(bed, 'ada', one(serial));
  bed.clock.advance(5);
  await release([await signedBy(bed, 'ada', one(serial))], serial);
  bed.clock.advance(60);
  await list([{ serial, revokedAt: bed.clock.now(), reason: 'certificateHold' }]);
  bed.clock.advance(5);
  for (let start = 0; start < 2; start += 1) {
    await assert.rejects(release([unused], serial), { code: 'revocation-request.list-differs' });
    await assert.rejects(good(serial), { code: 'revocation.undone' });
    await bed.restart();
  }
  await release([await signedBy(bed, 'ada', one(serial))], serial);
  await good(serial);
});

test('TEST-KEY-23 the order of a hold that was released holds nothing when it comes again, also where the hold was there before the order', async () => {
  const { serial } = await onHold();
  const taken = [{ issuer: 'operational' as const, serials: [serial] }];
  const order = orderOf([{ issuer: 'operational', serial }], {
    act: 'hold',
    selector: { kind: 'certificate', issuer: 'operational', serial },
  });
  const statements = [await signedBy(bed, 'ada', order)];
  const again = () => bed.client.orderRevocation({ statements, list: taken, requestId: 'hold' });
  assert.equal((await again()).listed, 0);
  bed.clock.advance(5);
  await release([await signedBy(bed, 'ada', one(serial))], serial);
  for (let start = 0; start < 2; start += 1) {
    bed.clock.advance(5);
    assert.equal((await again()).listed, 0);
    assert.equal((await list()).has(serial), false);
    await good(serial);
    await bed.restart();
  }
});
