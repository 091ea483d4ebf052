import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { type Policy, policyFile } from '@keystead/core/lifecycle';
import { OcspIssuer, type RevocationReason, readCrl } from '@keystead/core/x509';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { KeydBed } from './bed.ts';

const DAY = 86_400_000;
let bed: KeydBed;
let parties: PolicyParties;
let idevid: DerCertificate;
let number = 0;

before(async () => {
  parties = new PolicyParties();
  bed = await KeydBed.make(
    { lifetimes: { ldevid: { seconds: (60 * DAY) / 1000, backdateSeconds: 300 } } },
    undefined,
    parties.operators.filter(({ name }) => name !== 'lin' && name !== 'aud'),
  );
  idevid = (await bed.provision('KS-0001', await bed.ticket())).certificate;
});
after(() => bed.remove());

type Entries = Parameters<KeydBed['client']['signCrl']>[0]['entries'];

/** The next CRL of the CA of LDevIDs. */
async function crl(entries: Entries = []) {
  number += 1;
  return readCrl((await bed.client.signCrl({ issuer: 'operational', number, entries })).crl).entries;
}

async function isListed(serial: Serial): Promise<boolean> {
  const told = await bed.client.trustRevocations({ issuer: 'operational', from: 0, limit: 100 });
  const onList = (await crl()).has(serial);
  assert.equal(told.serials.includes(serial), onList, 'a filter is held against what the CRL has');
  return onList;
}

async function isGood(serial: Serial): Promise<boolean> {
  const issuer = new OcspIssuer((await bed.client.trust()).certificates.operational as DerCertificate);
  const responses = [{ certId: issuer.certId(serial), status: 'good' as const }];
  return bed.client.signOcsp({ issuer: 'operational', responses }).then(
    () => true,
    () => false,
  );
}

const revocation = (serial: Serial, revokedAt: Date, reason: RevocationReason = 'keyCompromise') => [
  { serial, revokedAt, reason },
];
/** Before every certificate of this house. */
const LONG_AGO = new Date('2020-01-02T00:00:00.000Z');

test('TEST-KEY-13 a front end takes no revocation and no hold off the list by saying that it was long ago', async () => {
  const { serial } = await bed.enrol('KS-0001', idevid);
  await crl(revocation(serial, bed.clock.now(), 'certificateHold'));
  // From hold to revocation, with the time of something that has long ended.
  assert.equal((await crl(revocation(serial, LONG_AGO))).has(serial), true);
  const other = (await bed.enrol('KS-0001', idevid)).serial;
  await bed.client.listRevocations({ issuer: 'operational', entries: revocation(other, LONG_AGO, 'certificateHold') });
  // One that stands in no journal of keyd's, as after a restore.
  const forgotten = '5a17000000000000000000000000000000000002' as Serial;
  await bed.client.listRevocations({ issuer: 'operational', entries: revocation(forgotten, LONG_AGO) });
  for (let start = 0; start < 2; start += 1) {
    for (const one of [serial, other, forgotten]) {
      assert.equal(await isListed(one), true, one);
      assert.equal(await isGood(one), false, one);
    }
    bed.clock.advance(3600);
    await bed.restart();
  }
});

test('TEST-KEY-13 evidence names no certificate as revoked that keyd issued, that lives, and that is on no list, whenever it is said to have been', async () => {
  const { certificate, serial: first } = await bed.provision('KS-0003', await bed.ticket({ id: 'batch-3' }));
  const { serial } = await bed.enrol('KS-0003', certificate);
  const revokedAt = bed.clock.now();
  await bed.client.listRevocations({ issuer: 'manufacturing', entries: revocation(first, revokedAt) });
  const evidence = (at: Date) =>
    bed.client.signEvidence({
      kind: 'decommission',
      deviceId: 'KS-0003',
      operator: 'ada',
      reason: 'a test',
      wiped: [],
      revoked: [{ issuer: 'operational', serial, revokedAt: at, reason: 'keyCompromise' }],
      requestId: 'end',
    });
  await assert.rejects(evidence(LONG_AGO), { code: 'evidence.not-revoked' });
});

test('TEST-KEY-13 a shorter life in the policy shortens no revocation of what was issued before it', async () => {
  const { serial, notAfter } = await bed.enrol('KS-0001', idevid);
  const held = (await bed.enrol('KS-0001', idevid)).serial;
  await crl([...revocation(serial, bed.clock.now()), ...revocation(held, bed.clock.now(), 'certificateHold')]);
  const shorter = (policy: Policy) => {
    for (const { id, validity } of policy.profiles) if (id === 'ldevid') validity.seconds = (7 * DAY) / 1000;
  };
  const now = policyFile((await bed.client.trust()).policy);
  const next = successor(now, shorter);
  const approvals = await parties.approvals([now, next], bed.clock.now());
  await bed.client.changePolicy({ policy: next.bytes, approvals, requestId: 'shorter' });
  const { crlSeconds } = bed.policy.revocation;
  for (const at of [notAfter.getTime() - DAY, notAfter.getTime() + crlSeconds * 1000 - 1000]) {
    bed.clock.set(new Date(at));
    for (const one of [serial, held]) assert.equal((await crl()).has(one), true, `${one} at ${at}`);
  }
  await bed.restart();
  bed.clock.set(new Date(notAfter.getTime() + crlSeconds * 1000 + 1000));
  const entries = await crl();
  for (const one of [serial, held]) assert.equal(entries.has(one), false, 'it ended, and a CRL of after that had it');
});
