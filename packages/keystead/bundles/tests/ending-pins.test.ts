import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pino } from 'pino';
import { pin } from '../../../core/trust/tests/bundle-source.ts';
import { parseEntry } from '../../audit/index.ts';
import { TRUST, type TrustBed } from '../../keyd/tests/trust-bed.ts';
import type { StoreBed } from '../../store/tests/bed.ts';
import type { BundlePublisher } from '../publisher.ts';
import { makePublisherBed, publisherOn, removePublisherBed } from './bed.ts';

const LIFE = TRUST.bundle.seconds;
const asked = { actor: { kind: 'operator' as const, id: 'ca' }, requestId: 'test' };
let bed: TrustBed;
let records: StoreBed;
let publisher: BundlePublisher;
const logged: { pin: string; keys: string[]; why: string; msg: string }[] = [];

const open = (): BundlePublisher =>
  publisherOn(
    { bed, records },
    { log: pino({ level: 'warn' }, { write: (line: string) => void logged.push(JSON.parse(line)) }) },
  );

const told = () =>
  records.store
    .read((reader) => reader.auditEntries(0, 1000))
    .map((row) => parseEntry(row.bytes))
    .filter(({ type }) => type.startsWith('trust.pin-'));

/** To a time, seconds since 1970, by steps in which keyd signs the content anew. */
async function goTo(at: number): Promise<void> {
  bed.keyd.clock.set(new Date(at * 1000));
  await publisher.tick();
}

before(async () => {
  ({ bed, records } = await makePublisherBed());
  publisher = open();
  await publisher.start();
});
after(() => removePublisherBed({ bed, records }, publisher));

test('TEST-KEY-16 before the last current key of a pinned name ends, serve warns in its log and, once each, in the audit log, also across a restart; the refreshes end when it said, and the next content ends the warning', async () => {
  const content = await bed.content();
  const [pins] = content.pins;
  assert.ok(pins);
  const until = bed.now + 3 * LIFE;
  const keys = pins.keys.map((key) => (key.use === 'current' ? { ...key, until } : key));
  await publisher.publish(await bed.approved(await bed.order(1, { ...content, pins: [{ ...pins, keys }] })), asked);
  await goTo(until - 2 * LIFE - 1);
  assert.deepEqual([told(), publisher.endingPins()], [[], []]);

  await goTo(until - 2 * LIFE);
  await goTo(until - 2 * LIFE + 60);
  publisher = open();
  await publisher.start();
  await publisher.tick();
  const [due, ...others] = told();
  assert.equal(others.length, 0, 'once');
  assert.ok(due);
  const iso = (seconds: number) => new Date(seconds * 1000).toISOString();
  assert.deepEqual([due.type, due.subject, due.actor.id], ['trust.pin-due', { pin: 'update-server' }, 'serve']);
  const { why, ...detail } = due.detail ?? {};
  assert.deepEqual(detail, {
    keys: pin('now'),
    until: iso(until),
    lastRefresh: iso(until - 1),
    publishBy: iso(until - LIFE),
  });
  assert.deepEqual(
    logged.map((line) => [line.msg, line.pin, line.keys, line.why]),
    [['a pin of the trust bundles is due', 'update-server', [pin('now')], why]],
  );

  await goTo(until - LIFE);
  assert.deepEqual(
    told().map(({ type }) => type),
    ['trust.pin-due', 'trust.pin-overdue'],
  );
  assert.equal(publisher.endingPins()[0]?.level, 'overdue');

  // As it was told: the last refresh a second before the end, and none from then on.
  await goTo(until - 1);
  const last = publisher.last();
  assert.equal(last?.issuedAt, (until - 1) * 1000);
  await assert.rejects(goTo(until + LIFE - 60), { code: 'trust-bundle.rule' });
  assert.equal(publisher.last()?.version, last?.version);
  assert.match(publisher.endingPins()[0]?.why ?? '', /signs no bundle with this content any more/);
  assert.equal(told().length, 2, 'once');

  // What was announced takes its place, and nobody is stranded.
  const successors = pins.keys.flatMap((key) => {
    if (key.use === 'current') return [];
    return [key.use === 'next' ? { ...key, use: 'current' as const } : key];
  });
  const next = { ...content, pins: [{ ...pins, keys: successors }] };
  await publisher.publish(await bed.approved(await bed.order(2, next)), asked);
  await publisher.tick();
  assert.deepEqual([publisher.endingPins(), told().length], [[], 2]);
});
