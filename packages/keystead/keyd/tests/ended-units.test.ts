import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { signAuthorisation, signResolution } from '@keystead/core/lifecycle';
import { nameKey, readCertificate, readRevocationList } from '@keystead/core/x509';
import { csrFor, KeydBed } from './bed.ts';
import { commissioned, TestNode, takenIn } from './factory-bed.ts';

let bed: KeydBed;
let node: TestNode;
let sub: DerCertificate;
before(async () => {
  bed = await KeydBed.make({ factory: {}, urls: { crl: 'http://crl.example/{ca}.crl' } });
  node = await TestNode.make();
  sub = (await commissioned(bed, node)).certified.manufacturing.certificate;
});
after(() => bed.remove());

const whole = (ms: number): string => `${new Date(bed.clock.now().getTime() + ms).toISOString().slice(0, 19)}Z`;

/** Has keyd carry a decision of Ada's out. @returns what asks for the same again. */
async function resolve(act: 'release' | 'reject', deviceId: string, serial: string) {
  const draft = {
    ...{ act, id: `r-${deviceId}`, factory: 'berlin-1', reason: 'seen on the bench', deviceId },
    ...{ serial: serial as never, signedAt: whole(0), expiresAt: whole(3_600_000) },
  };
  const resolution = await signResolution(draft, 'ada', bed.people.ada.signer);
  const ask = () => bed.client.resolve({ resolution, requestId: `resolve-${deviceId}` });
  assert.equal((await ask()).repeated, false);
  return ask;
}

type Issuer = 'manufacturing' | 'operational' | 'factory.berlin-1';

/** Which of these certificates stand on the list of their issuer, though the front end has revoked nothing. */
async function listed(issuer: Issuer, number: number, ...certificates: DerCertificate[]): Promise<boolean[]> {
  const list = readRevocationList((await bed.client.signCrl({ issuer, number, entries: [] })).crl);
  return certificates.map((der) => {
    const { issuer: name, serial } = readCertificate(der);
    return list.find(nameKey(name), serial) !== undefined;
  });
}

const known = (where: string) => [{ conflict: 'device-known' as const, with: where }];

test('TEST-KEY-19 a device that a release has ended gets nothing by its LDevID, and all it had is on the lists, though the front end revokes nothing', async () => {
  const old = await bed.provision('KS-0001', await bed.ticket());
  const ldevid = await bed.enrol('KS-0001', old.certificate);
  await bed.enrol('KS-0001', ldevid.certificate);
  const right = await node.idevid(bed, sub, 'KS-0001');
  await takenIn(bed, 'berlin-1', { ...right.unit, conflicts: known('headquarters KS-0001') });
  await assert.rejects(bed.enrol('KS-0001', right.certificate), { code: 'requester.quarantined' });
  const again = await resolve('release', 'KS-0001', right.unit.serial);
  await assert.rejects(bed.enrol('KS-0001', ldevid.certificate), { code: 'requester.revoked' });
  const now = await bed.enrol('KS-0001', right.certificate);
  bed.clock.advance(5);
  const renewed = await bed.enrol('KS-0001', now.certificate);
  // Asked for again it ends nothing that came after.
  assert.equal((await again()).repeated, true);
  await bed.restart();
  await bed.enrol('KS-0001', renewed.certificate);
  assert.deepEqual(await listed('manufacturing', 1, old.certificate), [true]);
  const issued = [ldevid, now, renewed].map(({ certificate }) => certificate);
  assert.deepEqual(await listed('operational', 1, ...issued), [true, false, false]);
  assert.deepEqual(await listed('factory.berlin-1', 1, right.certificate), [false]);
});

test('TEST-KEY-19 a unit that operators reject stands on the list of its factory, for those who go by that', async () => {
  const wrong = await node.idevid(bed, sub, 'KS-0002');
  await takenIn(bed, 'berlin-1', { ...wrong.unit, conflicts: known('lyon-2 KS-0002') });
  assert.deepEqual(await listed('factory.berlin-1', 2, wrong.certificate), [false]);
  await (await resolve('reject', 'KS-0002', wrong.unit.serial))();
  assert.deepEqual(await listed('factory.berlin-1', 3, wrong.certificate), [true]);
});

test('TEST-KEY-17 an authorisation brings nothing to a device of a factory whose CA was revoked', async () => {
  const oslo = await TestNode.make('oslo-3');
  const { certified } = await commissioned(bed, oslo);
  const made = await oslo.idevid(bed, certified.manufacturing.certificate, 'KS-0031');
  await takenIn(bed, 'oslo-3', made.unit);
  const draft = {
    ...{ id: 'pump', profile: 'ldevid', deviceIds: { prefix: 'KS-', from: 31, to: 31, width: 4 }, uses: 5 },
    ...{ notBefore: whole(-60_000), notAfter: whole(3_600_000), ways: ['est' as const], approval: false },
  };
  const authorisation = await signAuthorisation(draft, 'ada', bed.people.ada.signer);
  const ask = async () =>
    bed.client.issue({
      profile: 'ldevid',
      csr: await csrFor('KS-0031'),
      requester: { kind: 'authorised', id: 'pump', authorisation, deviceId: 'KS-0031' },
      requestId: 'authorised',
    });
  await ask();
  await commissioned(bed, oslo, { act: 'close', revoke: true });
  await assert.rejects(ask(), { code: 'requester.unproven' });
});
