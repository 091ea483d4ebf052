import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { randomBytes } from '@keystead/core/crypto';
import { newKey, Rig, type ServiceName } from '../faults/rig.ts';
import { Dice } from './dice.ts';
import { FactoryLine, type NodeService, unitsIn } from './factory.ts';
import { Link } from './link.ts';
import { nothingIsWrong } from './verified.ts';

/** A longer run is `KEYSTEAD_LINE_BLOWS=300 node --test tests/line/line.test.ts`; `KEYSTEAD_LINE_SEED` repeats one. */
const BLOWS = Number(process.env.KEYSTEAD_LINE_BLOWS ?? 6);
const SEED = Number(process.env.KEYSTEAD_LINE_SEED ?? Buffer.from(randomBytes(4)).readUInt32BE());
const STATIONS = 8;
const QUOTA = 12;
/** More ask for a unit of each ticket than it has. */
const IDS = 14;
/** How long headquarters may take to have heard everything, once all is up again. */
const SETTLE_MS = 120_000;
/** A service that was killed is back long before. */
const MOST_TRIES = 300;

interface Given {
  readonly device: string;
  readonly ticket: string;
  readonly serial: string;
}

test(`TEST-KEY-17 eight stations at full speed, the link cut, keyd and serve of both sides killed at random moments (seed ${SEED}): no unit is lost, none twice, no quota overrun, and headquarters knows each exactly once`, async (t) => {
  const dice = new Dice(SEED);
  const hq = await Rig.make();
  t.after(() => hq.remove());
  const link = await Link.to(hq.world.config.ports.https);
  t.after(() => link.close());
  const line = await FactoryLine.found(hq, 'line-1', `https://localhost:${link.port}`);
  t.after(() => line.remove());

  const given: Given[] = [];
  const refused = new Map<string, number>();
  const wrong: string[] = [];
  const batches = new Map<number, Promise<void>>();
  const blows = new Map<string, number>();
  const waits: number[] = [];
  let repeated = 0;
  let taken = 0;
  let running = true;

  /** A batch is opened by whoever comes first, and again until it is. */
  const openBatch = async (n: number): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await line.batch(`B-${n}`, QUOTA, `${String(n).padStart(3, '0')}-`, IDS);
      } catch (error) {
        if (tries === MOST_TRIES) throw error;
        await pause(150);
      }
    }
  };

  /** What a rig does: the same request until there is an answer. */
  const station = async (): Promise<void> => {
    while (running) {
      const n = Math.floor(taken / IDS);
      const device = `L1-${String(n).padStart(3, '0')}-${String((taken % IDS) + 1).padStart(4, '0')}`;
      taken += 1;
      const opened = batches.get(n) ?? openBatch(n);
      batches.set(n, opened);
      await opened;
      const { csr } = await newKey(device);
      const asked = Date.now();
      for (let tries = 1; ; tries += 1) {
        assert.ok(tries < MOST_TRIES, `${device} has no answer`);
        const answer = await line.unit(`B-${n}`, device, csr).catch(() => undefined);
        if (answer === undefined || answer.status === 503) {
          repeated += 1;
          await pause(100);
          continue;
        }
        if (answer.status === 200) {
          waits.push(Date.now() - asked);
          given.push({ device, ticket: `B-${n}`, serial: JSON.parse(answer.text).serial });
          // Power cuts at the device: it comes again, and has its own.
          if (device.endsWith('5')) {
            const again = await line.unit(`B-${n}`, device, csr).catch(() => undefined);
            const serial = again?.status === 200 ? JSON.parse(again.text).serial : undefined;
            if (serial !== undefined && serial !== given.at(-1)?.serial && !given.some((one) => one.serial === serial))
              wrong.push(`${device} has another certificate: ${serial}`);
          }
        } else {
          const { code } = JSON.parse(answer.text).error;
          if (code === 'ticket.quota-exhausted') refused.set(`B-${n}`, (refused.get(`B-${n}`) ?? 0) + 1);
          else wrong.push(`${device}: ${answer.status} ${answer.text}`);
        }
        break;
      }
    }
  };
  const began = Date.now();
  const stations = Array.from({ length: STATIONS }, () => station());

  for (let blow = 0; blow < BLOWS; blow += 1) {
    await pause(200 + dice.below(900));
    const what = dice.oneOf(['node serve', 'node serve', 'node keyd', 'hq serve', 'hq keyd', 'link'] as const);
    blows.set(what, (blows.get(what) ?? 0) + 1);
    if (what === 'link') {
      link.cut();
      await pause(dice.below(1500));
      link.restore();
      continue;
    }
    const [side, name] = what.split(' ') as ['node' | 'hq', NodeService & ServiceName];
    if (side === 'node') {
      await line.kill(name);
      await line.start(name);
      continue;
    }
    await hq.kill(name);
    await hq.start(name);
  }
  running = false;
  await Promise.all(stations);
  const seconds = (Date.now() - began) / 1000;

  // All up again, after an end in good order: by then everything must fit together.
  await line.stop('serve');
  await line.start('serve');
  const until = Date.now() + SETTLE_MS;
  let progress = await line.waiting();
  while (progress.waiting > 0 && Date.now() < until) {
    await pause(500);
    progress = await line.waiting();
  }
  assert.deepEqual(wrong.slice(0, 5), []);
  assert.ok(given.length > 0);
  assert.equal(progress.waiting, 0, `a receipt for each: ${JSON.stringify(progress)}, seed ${SEED}`);

  const [made, known] = [unitsIn(line.layout), unitsIn(hq.layout)];
  // As an engineer asks: how many, how fast, how long a rig stood still, and what was done to it meanwhile.
  waits.sort((a, b) => a - b);
  const wait = (share: number): string =>
    `${((waits[Math.floor(share * (waits.length - 1))] ?? 0) / 1000).toFixed(1)} s`;
  const done = [...blows].map(([what, times]) => `${what} ${times}`).join(', ');
  for (const said of [
    `${given.length} units in ${seconds.toFixed(0)} s at ${STATIONS} stations, ${((given.length * 3600) / seconds).toFixed(0)} an hour`,
    `a unit waited ${wait(0.5)} (half of them), ${wait(0.95)} (95 in a hundred), ${wait(1)} at most; ${repeated} requests were sent again`,
    `killed or cut meanwhile: ${done}; seed ${SEED}`,
    `${made.length} at the node, ${known.length} at headquarters, in ${progress.made} consignments; ${progress.units - made.length} certificates that nobody was given`,
    `${[...refused.values()].reduce((sum, n) => sum + n, 0)} units refused for a quota that was reached, in ${refused.size} batches`,
  ])
    t.diagnostic(said);
  assert.deepEqual(known, made, 'headquarters knows each unit of the node, and no other');
  for (const { device, serial } of given) {
    const row = made.find((one) => one.device === device);
    assert.equal(row?.serial.toLowerCase(), serial, `${device} has what it was given`);
  }
  assert.equal(new Set(made.map(({ spki }) => spki)).size, made.length, 'no key twice');
  const perTicket = Map.groupBy(made, ({ ticket }) => ticket);
  for (const [ticket, units] of perTicket) assert.ok(units.length <= QUOTA, `${ticket} gave ${units.length}`);
  for (const ticket of refused.keys()) assert.equal(perTicket.get(ticket)?.length, QUOTA, `${ticket} was full`);
  assert.match(await line.hqCommand('conflicts'), /none[\s\S]*no unit is in quarantine/);
  for (const layout of [line.layout, hq.layout]) await nothingIsWrong(layout);
});
