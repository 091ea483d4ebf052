import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { AcknowledgedFile } from './acknowledged.ts';
import { checkAtRest, checkRecords } from './invariants.ts';
import { Lives } from './life.ts';
import { Rig, type ServiceName } from './rig.ts';

/** How often something is killed; a longer torture is `KEYSTEAD_TEST_KILLS=1000 node --test tests/faults/kill-9.test.ts`. */
const KILLS = Number(process.env.KEYSTEAD_TEST_KILLS ?? 100);
/** After how long the test is hung, milliseconds: six seconds a kill, with the starts that follow it. */
const HUNG_MS = 6_000 * KILLS;
const CLIENTS = 6;
const UNITS_PER_TICKET = 5;
/** More ask for a unit of each ticket than it has. */
const IDS_PER_TICKET = 7;

/** A whole number from 0 to `below` - 1. */
const chance = (below: number): number => Buffer.from(randomBytes(4)).readUInt32BE() % below;

const ticketOf = (number: number): string => `torture-${number}`;

test(`TEST-KEY-17 kill -9 at ${KILLS} random moments of provisioning and renewal loses nothing that was acknowledged`, {
  timeout: Math.max(HUNG_MS, 120_000),
}, async (t) => {
  const rig = await Rig.make();
  t.after(() => rig.remove());
  rig.keepCompiled();
  const acknowledged = new AcknowledgedFile(join(rig.folder, 'acknowledged'));
  t.after(() => acknowledged.close());
  const quotas = new Map<string, number>();
  const opening = new Map<number, Promise<void>>();
  // A batch is opened when its first unit is made, also while the services are being killed: again until it is open.
  const open = async (number: number): Promise<void> => {
    quotas.set(ticketOf(number), UNITS_PER_TICKET);
    for (;;) {
      try {
        return await rig.batch(ticketOf(number), UNITS_PER_TICKET, `T${number}-`, IDS_PER_TICKET);
      } catch (error) {
        if (!(error instanceof KeysteadError) || error.kind !== 'unavailable') throw error;
        await pause(100);
      }
    }
  };
  let given = 0;
  const lives = new Lives(rig, acknowledged, async () => {
    const ticket = Math.floor(given / IDS_PER_TICKET);
    const device = `T${ticket}-${String((given % IDS_PER_TICKET) + 1).padStart(4, '0')}`;
    given += 1;
    const opened = opening.get(ticket) ?? open(ticket);
    opening.set(ticket, opened);
    await opened;
    return { ticket: ticketOf(ticket), device };
  });
  const running = lives.run(CLIENTS);
  const killed = { serve: 0, keyd: 0, both: 0, starting: 0 };

  for (let kill = 0; kill < KILLS; kill += 1) {
    await pause(20 + chance(380));
    const dice = chance(20);
    const victims: ServiceName[] = dice < 15 ? ['serve'] : dice < 18 ? ['keyd'] : ['keyd', 'serve'];
    await rig.kill(...victims);
    killed[victims.length === 2 ? 'both' : (victims[0] ?? 'both')] += 1;
    checkRecords(rig.records(), acknowledged.all());
    if (victims.includes('keyd')) await rig.start('keyd');
    if (!victims.includes('serve')) continue;
    rig.launch('serve');
    if (kill + 1 < KILLS && chance(8) === 0) {
      // Also while it repairs what the last one left.
      await pause(chance(1200));
      await rig.kill('serve');
      kill += 1;
      killed.starting += 1;
      rig.launch('serve');
    }
    await rig.ready('serve');
  }
  lives.stop();
  await running;
  t.diagnostic(JSON.stringify({ ...killed, ...lives.tally, wrong: lives.tally.wrong.length }));
  assert.deepEqual(lives.tally.wrong.slice(0, 5), []);
  assert.ok(lives.tally.renewed > 0 && lives.tally.again > 0);
  checkRecords(rig.records(), acknowledged.all());
  // A start after the last kill and an end in good order: by then everything must fit together.
  await rig.restart('serve');
  await rig.stop('serve');
  await rig.stop('keyd');
  checkRecords(rig.records(), acknowledged.all());
  await checkAtRest(rig, quotas);

  // That the checks can fail: each loss that they are there for, seeded into a copy.
  const records = rig.records();
  const all = acknowledged.all();
  const ends = (altered: Partial<typeof records>): void =>
    assert.throws(() => checkRecords({ ...records, ...altered }, all), assert.AssertionError);
  ends({ certificates: records.certificates.slice(0, -1) });
  const last = records.entries.findLastIndex((entry) => entry.type === 'certificate.issued');
  ends({ entries: records.entries.filter((_, index) => index !== last) });
  ends({ entries: records.entries.filter((entry) => entry.type !== 'device.provisioned') });
  ends({ certificates: [...records.certificates, records.certificates[0] ?? {}] });
  ends({ units: records.units.slice(1) });
  ends({ keys: new Set() });
  ends({ keyEvents: records.keyEvents.slice(0, -1) });
  ends({ keyRows: records.keyRows.slice(1) });
});
