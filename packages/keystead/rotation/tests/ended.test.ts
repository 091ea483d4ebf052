import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { codeOf, type TestDevice } from '../../authority/tests/bed.ts';
import { wantedAlgorithm } from '../index.ts';
import { RotationBed } from './bed.ts';

/** Devices that cannot come back, campaigns that are taken back late, and what a device is asked to make meanwhile. */
let bed: RotationBed;
let here: TestDevice;
before(async () => {
  bed = await RotationBed.make();
  [here] = (await bed.devices('KS-0001', 'KS-0002')) as [TestDevice];
});
after(() => bed.domain.remove());

const DAY = 86_400;
const LIMITS = { patienceSeconds: 400 * DAY, unseenSeconds: 400 * DAY, mostFailures: 9, uptakeShare: 1 };
const advance = (id: string) => bed.campaigns.advance(id, bed.by());
const wanted = (id: string) => bed.domain.store.read((records) => wantedAlgorithm(records, id, 'ldevid'));

test('TEST-KEY-15 devices of open rings are asked for the new algorithm, also where they have moved; when it is taken back, nobody is', async () => {
  const uptake = { bundle: undefined, securityCounter: 4, reportedAt: bed.domain.clock.now().getTime() };
  for (const id of ['KS-0001', 'KS-0002']) bed.uptake.set(id, uptake);
  const { model } = bed.domain.store.read((records) => records.device('KS-0001')) ?? assert.fail('no device');
  const plan = { v: 1, id: 'algorithm', kind: 'algorithm', target: 'ldevid', algorithm: 'P-256', reason: 'a test' };
  const rings = [{ name: 'bench', devices: ['KS-0001'] }];
  const draft = { ...plan, rings, firmware: { [model]: 4 }, ...LIMITS, transitionSeconds: 30 * DAY };
  await bed.campaigns.plan(draft, bed.by());
  await bed.campaigns.start('algorithm', bed.by());
  assert.equal(wanted('KS-0001'), undefined);
  await advance('algorithm');
  assert.deepEqual([wanted('KS-0001'), wanted('KS-0002')], ['P-256', undefined]);
  // Their keys are of it already: both rings have moved.
  await advance('algorithm');
  assert.equal((await advance('algorithm')).state, 'retiring');
  assert.deepEqual([wanted('KS-0001'), wanted('KS-0002')], ['P-256', 'P-256']);
  await bed.campaigns.pause('algorithm', 'a look', bed.by());
  assert.equal(wanted('KS-0001'), 'P-256', 'else its next renewal would take it back');
  assert.equal((await bed.campaigns.rollBack('algorithm', 'a test', bed.by())).state, 'rolled-back');
  assert.equal(wanted('KS-0001'), undefined);
});

test('TEST-KEY-15 a device whose certificate and grace have ended in an open ring fails, then is lost, and holds nothing up', async () => {
  const rings = [{ name: 'all', devices: ['KS-0001', 'KS-0002'] }];
  const plan = { v: 1, id: 'lost', kind: 'device-credentials', target: 'ldevid', reason: 'a test' };
  await bed.campaigns.plan({ ...plan, rings, ...LIMITS }, bed.by());
  bed.domain.clock.advance(1);
  await bed.campaigns.start('lost', bed.by());
  await advance('lost');
  await bed.domain.enrol(here);
  const ring = async () => {
    await bed.campaigns.tick();
    const { devices, done, failed, lost, verdict } = bed.campaigns.list()[0]?.rings[0] ?? assert.fail('no ring');
    return [devices, done, failed, lost, verdict];
  };
  assert.deepEqual(await ring(), [2, 1, 0, 0, 'waits']);
  bed.domain.clock.advance(8 * DAY);
  assert.deepEqual(await ring(), [2, 1, 1, 0, 'waits']);
  assert.equal(await codeOf(advance('lost')), 'rotation.not-ready');
  bed.domain.clock.advance(bed.domain.policy.grace.renewalSeconds);
  assert.deepEqual(await ring(), [1, 1, 0, 1, 'moved']);
  assert.deepEqual(bed.told().slice(-2), ['device-failed', 'device-lost']);
  await advance('lost');
  assert.equal((await advance('lost')).state, 'retiring');
  assert.equal((await bed.campaigns.rollBack('lost', 'seen enough', bed.by())).state, 'rolled-back');
});
