import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import type { OnlineCa } from '@keystead/core/lifecycle';
import { readCertificate, readCrl } from '@keystead/core/x509';
import { orderOf, signedBy } from '../../keyd/tests/release.ts';
import { REVOCATION_CHECKS } from '../../verify/checks/revocation.ts';
import type { Issued } from '../index.ts';
import { DomainBed, type TestDevice } from './bed.ts';

const DAY = 86_400;
const ada = { kind: 'operator', id: 'ada' } as const;
const pol = { kind: 'operator', id: 'pol' } as const;
let bed: DomainBed;
const units: { device: TestDevice; ldevid: Issued }[] = [];

before(async () => {
  bed = await DomainBed.make(
    {},
    {
      revocation: {
        authority: [{ selectors: ['batch'], approvals: 1, roles: ['policy-administrator'] }],
        alone: { certificates: 2, seconds: DAY },
      },
    },
  );
  for (const id of ['KS-0001', 'KS-0002', 'KS-0003']) {
    const device = await bed.device(id);
    units.push({ device, ldevid: await bed.enrol(device) });
  }
});
after(() => bed.remove());

const unit = (index: number) => units[index] ?? assert.fail();
const revoke = (index: number) =>
  bed.authority.revoke({
    ...{ selector: { deviceId: unit(index).device.id }, reason: 'keyCompromise', actor: ada, requestId: 'stolen' },
  });
const published = (role: OnlineCa) => readCrl(new Uint8Array(readFileSync(bed.crlPath(role)))).entries;
/** On how many of its two CRLs a device stands. */
const onCrls = (index: number) =>
  Number(published('manufacturing').has(readCertificate(unit(index).device.idevid).serial)) +
  Number(published('operational').has(unit(index).ldevid.serial));
const left = () => Object.fromEntries(bed.authority.withheld());
const told = () => bed.entries('crl.withheld').map(({ subject, detail }) => [subject.issuer, detail?.withheld]);
const checked = async () => {
  const check = REVOCATION_CHECKS.find(({ id }) => id === 'revocation.withheld') ?? assert.fail();
  return check.run({ layout: bed.keyd.rehearsal.layout, clock: bed.clock, httpUrl: '' });
};

test('TEST-KEY-08 TEST-KEY-23 whoever revokes more than one person may have listed hears at once that keyd withholds it; the audit log has it once, each round fails with it, and the checklist does, also after a restart', async () => {
  const first = await revoke(0);
  assert.deepEqual([first.onCrl, first.withheld, onCrls(0)], [true, 0, 2]);
  await bed.authority.tick();
  assert.deepEqual([left(), told(), (await checked()).verdict], [{}, [], 'passed']);

  const second = await revoke(1);
  assert.deepEqual([second.onCrl, second.withheld, onCrls(1)], [false, 2, 0]);
  assert.equal(bed.authority.statusOf('operational', unit(1).ldevid.serial).status, 'revoked');
  assert.deepEqual(left(), { manufacturing: 1, operational: 1 });
  const once = [
    ['manufacturing', 1],
    ['operational', 1],
  ];
  assert.deepEqual(told().toSorted(), once);
  const loud = { code: 'crl.withheld', field: 'revocation.alone', seen: /1 of (?:manufacturing|operational), 1 of/ };
  await assert.rejects(bed.authority.tick(), loud);
  assert.equal((await revoke(1)).withheld, 2);
  await bed.restart();
  await assert.rejects(bed.authority.tick(), loud);
  const { verdict, evidence } = await checked();
  assert.equal(verdict, 'failed');
  assert.match(evidence, /manufacturing: 1/);
  assert.deepEqual(told().toSorted(), once, 'once');
});

test('TEST-KEY-08 TEST-KEY-23 what was withheld is listed by itself when the time of the allowance has passed, and nobody is alarmed any more', async () => {
  bed.clock.advance(DAY + 1);
  await bed.authority.tick();
  assert.deepEqual([left(), onCrls(1), (await checked()).verdict], [{}, 2, 'passed']);
});

test('TEST-KEY-08 TEST-KEY-23 what was withheld is on the CRL as soon as people agree to the batch, though the records had it already', async () => {
  // The one of before has ended by itself.
  unit(2).ldevid = await bed.enrol(unit(2).device);
  const third = await revoke(2);
  assert.deepEqual([third.withheld, onCrls(2)], [2, 0]);
  const of = { selector: { ticketId: 'batch-1' }, act: 'revoke', reason: 'keyCompromise' } as const;
  const { count, listSha256 } = await bed.authority.census.take({ ...of, actor: ada, requestId: 'census' });
  const order = orderOf([], {
    ...{ act: of.act, reason: of.reason, count, listSha256 },
    selector: { kind: 'batch', ticketId: 'batch-1' },
  });
  const { revocations } = bed.authority;
  await revocations.propose(await signedBy(bed.keyd, 'ada', order), { actor: ada, requestId: 'ask' });
  const approval = await signedBy(bed.keyd, 'pol', order, { act: 'approve', proposer: 'ada' });
  const { done } = await revocations.approve(order.id, approval, { actor: pol, requestId: 'agree' });
  assert.equal((await done)?.state, 'done');
  assert.deepEqual([onCrls(2), left()], [2, {}]);
  await bed.authority.tick();
});
