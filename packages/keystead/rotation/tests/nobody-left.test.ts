import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { codeOf } from '../../authority/tests/bed.ts';
import { RotationBed } from './bed.ts';

/** Rings whose devices are gone, or have nothing that is rotated. */
let bed: RotationBed;
before(async () => {
  bed = await RotationBed.make();
});
after(() => bed.domain.remove());

const DAY = 86_400;
const LIMITS = { patienceSeconds: 400 * DAY, unseenSeconds: 400 * DAY, mostFailures: 9, uptakeShare: 1 };
const advance = (id: string) => bed.campaigns.advance(id, bed.by());

test('TEST-KEY-15 a ring of which nobody is left to move proves nothing: the next one opens when people say why, and devices that left the fleet or have no certificate are none that moved', async () => {
  const canary = await bed.domain.device('KS-0003');
  const stock = await bed.domain.device('KS-0005');
  await bed.devices('KS-0004');
  await bed.domain.enrol(canary);
  const rings = [
    { name: 'canary', devices: ['KS-0003'] },
    { name: 'stock', devices: ['KS-0005'] },
    { name: 'field', devices: ['KS-0004'] },
  ];
  const plan = { v: 1, id: 'nobody', kind: 'device-credentials', target: 'ldevid', reason: 'a test' };
  await bed.campaigns.plan({ ...plan, rings, ...LIMITS }, bed.by());
  bed.domain.clock.advance(1);
  await bed.campaigns.start('nobody', bed.by());
  await advance('nobody');
  const ring = async (index: number) => {
    await bed.campaigns.tick();
    const { devices, done, lost, verdict } = bed.campaigns.show('nobody').rings[index] ?? assert.fail('no ring');
    return [devices, done, lost, verdict];
  };
  assert.deepEqual(await ring(0), [1, 0, 0, 'waits']);
  await bed.domain.provisioning.decommission({
    ...{ deviceId: 'KS-0003', reason: 'burnt', operator: 'ada', wiped: [], requestId: 'burnt' },
  });
  assert.deepEqual(await ring(0), [0, 0, 1, 'nobody']);
  await assert.rejects(advance('nobody'), /ring canary.*none of its devices has moved/);
  await bed.restart();
  await assert.rejects(advance('nobody'), /ring canary/);
  const audited = bed.domain.entries().length;
  await bed.campaigns.advance('nobody', bed.by(), 'the canary burnt in another test');
  const opened = bed.domain
    .entries()
    .slice(audited)
    .find(({ type }) => type === 'rotation.ring-opened');
  assert.deepEqual(
    [opened?.detail?.ring, opened?.detail?.unproven, opened?.detail?.reason],
    ['stock', 'canary', 'the canary burnt in another test'],
  );
  assert.deepEqual(await ring(1), [0, 0, 1, 'nobody']);
  assert.equal(await codeOf(advance('nobody')), 'rotation.not-ready', 'it has no certificate yet');
  await bed.domain.enrol(stock);
  assert.deepEqual(await ring(1), [1, 1, 0, 'moved']);
  await advance('nobody');
  assert.deepEqual(await ring(2), [1, 0, 0, 'waits']);
  // Nothing excuses one that can move and has not.
  assert.equal(await codeOf(bed.campaigns.advance('nobody', bed.by(), 'in a hurry')), 'rotation.not-ready');
  await bed.campaigns.rollBack('nobody', 'only a test', bed.by());
});

test('TEST-KEY-15 a device that was lost and has a certificate of the old kind again is waited for again', async () => {
  const uptake = { bundle: undefined, securityCounter: 4, reportedAt: bed.domain.clock.now().getTime() };
  const back = await bed.domain.device('KS-0006');
  bed.uptake.set('KS-0006', uptake);
  const { model } = bed.domain.store.read((records) => records.device('KS-0006')) ?? assert.fail('no device');
  const plan = { v: 1, id: 'back', kind: 'algorithm', target: 'ldevid', algorithm: 'P-384', reason: 'a test' };
  const rings = [{ name: 'bench', devices: ['KS-0006'] }];
  for (const id of ['KS-0004', 'KS-0005']) bed.uptake.set(id, uptake);
  const draft = { ...plan, rings, firmware: { [model]: 4 }, ...LIMITS, transitionSeconds: 30 * DAY };
  await bed.campaigns.plan(draft, bed.by());
  await bed.campaigns.start('back', bed.by());
  await advance('back');
  const ring = async () => {
    await bed.campaigns.tick();
    const { devices, done, lost, verdict } = bed.campaigns.show('back').rings[0] ?? assert.fail('no ring');
    return [devices, done, lost, verdict];
  };
  assert.deepEqual(await ring(), [0, 0, 1, 'nobody']);
  await bed.domain.enrol(back);
  assert.deepEqual(await ring(), [1, 0, 0, 'waits'], 'its key is of P-256');
  await bed.campaigns.rollBack('back', 'only a test', bed.by());
});
