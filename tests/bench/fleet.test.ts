import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findingsOf } from '../../bench/fleet/findings.ts';
import { DEFAULT_PLAN } from '../../bench/fleet/plan.ts';
import { plotPage } from '../../bench/fleet/plot.ts';
import { readRun, saveRun } from '../../bench/fleet/record.ts';
import { formatFindings, isMet } from '../../bench/fleet/report.ts';
import { FleetServer } from '../../bench/fleet/server.ts';
import { Shards } from '../../bench/fleet/shards.ts';
import { simulate } from '../../bench/fleet/simulation.ts';

test('TEST-KEY-14 a fleet lives through three CA keys, a compromise, power cuts, times away and wrong clocks without a gap that has no cause', async () => {
  const weather = { ...DEFAULT_PLAN.weather, powerCut: 0.5, offline: 0.3, clockDrift: 0.1 };
  // With so few devices a slice begins when the next thing is due: one of a quarter of an hour would be the most of a wait.
  const run = await simulate({
    ...DEFAULT_PLAN,
    devices: 30,
    sliceSeconds: 60,
    lifetimes: 4,
    compromised: 0.1,
    weather,
  });
  const found = findingsOf(run);
  const told = formatFindings(found);
  assert.equal(found.gaps.none.devices, 0, told);
  assert.equal(found.leaked, 0, 'what was revoked gets nothing more');
  // Each device that asks no more was away for too long, or was revoked, or its LDevIDs went on to the end.
  const { enrolled, renewed, recovered } = found.certificates;
  assert.equal(enrolled, 30);
  assert.ok(renewed > 60, told);
  assert.ok(found.met.powerCuts > 5 && found.met.offline > 5, told);
  // Three devices were revoked with the batch: their refusals are the only ones of that kind but for the revoked CA's.
  assert.ok((found.refusals['client.certificate-revoked'] ?? 0) > 3, told);
  // Devices whose CA was revoked are back by their IDevIDs, those with network within hours and not at their next renewal.
  assert.ok(found.restored.devices > 10 && recovered > 10, told);
  assert.ok(found.restored.medianMinutes <= 75, told);
  assert.ok(isMet(found), told);
  assert.deepEqual(findingsOf(readRun(saveRun(run))), found, 'a run that was saved is told of in the same words');
  const page = plotPage(run, found);
  assert.match(page, /<svg/);
  assert.ok(!page.includes('<script') && !/https?:/.test(page), 'nothing from elsewhere');
});

test('a run that is stopped says how far it came, and its events lie in the lifetimes that were asked for', async () => {
  const stop = new AbortController();
  const plan = { ...DEFAULT_PLAN, devices: 8, lifetimes: 6, eventful: 1, rotations: 1 };
  const run = await simulate(plan, {
    stop: stop.signal,
    progress: (what, done) => {
      // The compromise lies in the middle of the first lifetime of 56 days.
      if (what === 'days' && done >= 40) stop.abort();
    },
  });
  const found = findingsOf(run);
  assert.ok(found.days >= 40 && found.days < found.plannedDays, String(found.days));
  assert.match(formatFindings(found), /of 338 days of 6 LDevIDs each: STOPPED there/);
  const compromisedAt = ((run.compromisedAt?.getTime() ?? 0) - run.start.getTime()) / 86_400_000;
  assert.ok(compromisedAt > 28 && compromisedAt < 29, String(compromisedAt));
});

test('a run that fails says why, and tells what it counted until then', async () => {
  const heard: unknown[] = [];
  const cause = new Error('the disk is full');
  const run = await simulate(
    { ...DEFAULT_PLAN, devices: 4, lifetimes: 1, rotations: 0 },
    {
      failed: (error) => heard.push(error),
      progress: (what, done) => {
        if (what === 'days' && done >= 10) throw cause;
      },
    },
  );
  assert.deepEqual(heard, [cause]);
  const found = findingsOf(run);
  assert.ok(found.days >= 10 && found.days < found.plannedDays, String(found.days));
  assert.equal(found.certificates.enrolled, 4);
});

test('a thread of devices that has died fails every order after it', async () => {
  const server = await FleetServer.make({ ...DEFAULT_PLAN, devices: 1 });
  const refused = { code: 'store.failed', message: 'no disk', isPassing: false } as const;
  const shards = new Shards(
    { plan: { ...DEFAULT_PLAN, devices: 1 }, shards: 1, start: 0, world: server.world(false) },
    { answer: () => Promise.resolve({ refused }) },
    () => {},
  );
  try {
    // What a device is refused in the factory is a fault of the program, and ends its thread.
    await assert.rejects(shards.carryOut({ do: 'factory', upTo: 1 }), /no disk/);
    // The second may still hear of the end itself, the third of nothing any more.
    for (const until of [1, 2]) await assert.rejects(shards.carryOut({ do: 'live', until }), /no disk/);
  } finally {
    await shards.close();
    await server.remove();
  }
});
