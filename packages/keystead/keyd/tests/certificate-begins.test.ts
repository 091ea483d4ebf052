import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { type PolicyFile, policyFile, profileOf } from '@keystead/core/lifecycle';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { earliestBegin } from '../certificate-begins.ts';
import type { PolicyStep } from '../policy-chain.ts';
import { KeydBed } from './bed.ts';

const DAY = 86_400;
let bed: KeydBed;
let parties: PolicyParties;
let idevid: DerCertificate;

before(async () => {
  parties = new PolicyParties();
  bed = await KeydBed.make(
    { lifetimes: { ldevid: { seconds: 30 * DAY, backdateSeconds: 300 } } },
    undefined,
    parties.operators.filter(({ name }) => name !== 'lin' && name !== 'aud'),
  );
  idevid = (await bed.provision('KS-0001', await bed.ticket())).certificate;
});
after(() => bed.remove());

const backdated = (by: number) => (policy: PolicyFile['policy']) => {
  profileOf(policy, 'ldevid').validity.backdateSeconds = by;
};
const pass = (seconds: number) => bed.clock.set(new Date(bed.clock.now().getTime() + seconds * 1000));
/** By how many seconds an LDevID is dated back now. */
async function dated(): Promise<number> {
  const { notBefore } = await bed.enrol('KS-0001', idevid);
  return (bed.clock.now().getTime() - notBefore.getTime()) / 1000;
}

test('TEST-KEY-10 a policy that dates back further puts no certificate among those that a filter of before it covers', async () => {
  assert.equal(await dated(), 300);
  const now = policyFile((await bed.client.trust()).policy);
  const next = successor(now, backdated(DAY));
  const approvals = await parties.approvals([now, next], bed.clock.now());
  await bed.client.changePolicy({ policy: next.bytes, approvals, requestId: 'further' });
  // A filter of the moment before ends its knowledge 300 s and a little before the change.
  for (const since of [0, 10, 3600]) {
    pass(since - (await dated()) + 300);
    assert.equal(await dated(), since + 300);
    await bed.restart();
  }
  pass(DAY);
  assert.equal(await dated(), DAY);
});

test('TEST-KEY-10 nothing begins before a restore, which may have forgotten the policy by which filters are out, nor before a profile that is new', () => {
  const founding = parties.policy({ lifetimes: { ldevid: { backdateSeconds: 300 } } });
  const applied = new Date('2026-05-01T08:00:00.700Z');
  const step = { file: successor(founding, backdated(DAY)), appliedAt: applied.toISOString() } as PolicyStep;
  const chain = { founding, steps: [step] };
  const earliest = (profile: string, forgotAt?: number) =>
    new Date(earliestBegin({ policies: chain, state: { lapses: { forgotAt } } }, profile));
  assert.equal(earliest('ldevid').toISOString(), '2026-05-01T07:55:00.000Z');
  assert.equal(earliest('brand-new').toISOString(), '2026-05-01T08:00:00.000Z');
  assert.equal(earliest('ldevid', Date.UTC(2026, 5, 1, 0, 0, 0, 900)).toISOString(), '2026-06-01T00:00:00.000Z');
  assert.equal(
    earliestBegin({ policies: { founding, steps: [] }, state: { lapses: { forgotAt: undefined } } }, 'ldevid'),
    0,
  );
});
