import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Serial } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import fc from 'fast-check';
import { AnswerCache } from '../cache.ts';
import { CachedAnswer } from '../cached-answer.ts';

const start = new Date('2026-01-01T00:00:00Z');
const body = new Uint8Array(1000).fill(7);

function rig(maxBytes = 10 * 1024 * 1024) {
  const clock = new SimulatedClock(start);
  const cache = new AnswerCache(clock, maxBytes);
  const reply = (der = body) => {
    const thisUpdate = clock.now();
    return { der, validity: { thisUpdate, nextUpdate: new Date(thisUpdate.getTime() + 100_000) } };
  };
  const get = (key: string) => cache.get(key, clock.now().getTime());
  const fill = (key: string, ...serials: string[]) => cache.fill(key, serials as Serial[], async () => reply());
  const changed = (serial?: string) => cache.statusChanged(serial as Serial | undefined);
  return { clock, cache, reply, get, fill, changed };
}

test('memory is bounded, and what is asked for stays', async () => {
  const { cache, get, fill } = rig(1024 * 1024);
  await fill('wanted', 'aa');
  for (let i = 0; i < 5000; i += 1) {
    await fill(`key ${i}`, i.toString(16).padStart(8, '0'));
    assert.ok(get('wanted'), `after ${i}`);
  }
  // An answer of 1000 bytes is kept as bytes and as text.
  assert.ok(cache.size > 100 && cache.size < 1024, String(cache.size));
  assert.equal(get('key 1'), undefined);
  assert.ok(get('key 4999'));
});

test('a change drops every answer that holds the certificate, and no other', async () => {
  const { get, fill, changed } = rig();
  await fill('a', '01');
  await fill('ab', '01', '02');
  await fill('b', '02');
  changed('01');
  assert.equal(get('a'), undefined);
  assert.equal(get('ab'), undefined);
  assert.ok(get('b'));
  changed('99');
  assert.ok(get('b'));
  changed();
  assert.equal(get('b'), undefined, 'when it is not said which certificate, all are dropped');
});

test('an answer is made at most three times over when its status changes each time', async () => {
  const { cache, reply, get, changed } = rig();
  let made = 0;
  const filling = cache.fill('k', ['01' as Serial], async () => {
    made += 1;
    changed('01');
    return reply();
  });
  await assert.rejects(filling, { code: 'ocsp.busy' });
  assert.equal(made, 3);
  assert.equal(get('k'), undefined);
  assert.equal(cache.indexed, 0);
});

test('a failure is told to all who wait and is forgotten', async () => {
  const { cache, get, fill } = rig();
  const failing = () => cache.fill('k', ['01' as Serial], async () => Promise.reject(new Error('no')));
  const [one, two] = await Promise.allSettled([failing(), failing()]);
  assert.deepEqual([one?.status, two?.status], ['rejected', 'rejected']);
  assert.equal(cache.indexed, 0);
  assert.ok((await fill('k', '01')) instanceof CachedAnswer);
  assert.ok(get('k'));
});

test('whatever happens in whatever order, no answer is given that is older than the last change of its certificates', async () => {
  const aCommand = fc.oneof(
    fc.record({ ask: fc.nat(5) }),
    fc.record({ change: fc.nat(3) }),
    fc.record({ finish: fc.nat(9) }),
    fc.record({ advance: fc.integer({ min: 1, max: 40 }) }),
  );
  /** The certificates of each request. */
  const requests = [[0], [1], [2], [0, 1], [1, 2], [0, 1, 2, 3]];
  await fc.assert(
    fc.asyncProperty(fc.array(aCommand, { maxLength: 60 }), async (commands) => {
      const { clock, cache, reply, get } = rig(20_000);
      const versions = [0, 0, 0, 0];
      const waiting: (() => void)[] = [];
      const answers: Promise<void>[] = [];
      const serial = (i: number) => `0${i}` as Serial;
      const check = (der: Uint8Array, asked: number[], members: number[]) => {
        for (const [i, member] of members.entries())
          assert.ok((der[i] ?? 0) >= (asked[member] ?? 0), 'an answer from before the change');
      };
      for (const command of commands) {
        if ('advance' in command) clock.advance(command.advance);
        else if ('finish' in command) waiting.splice(command.finish, 1)[0]?.();
        else if ('change' in command) {
          versions[command.change] = (versions[command.change] ?? 0) + 1;
          cache.statusChanged(serial(command.change));
        } else {
          const members = requests[command.ask] ?? [];
          const key = `request ${command.ask}`;
          const asked = [...versions];
          const kept = get(key);
          if (kept !== undefined) check(kept.body, asked, members);
          else
            answers.push(
              cache
                .fill(key, members.map(serial), async () => {
                  const der = new Uint8Array(1000);
                  for (const [i, member] of members.entries()) der[i] = versions[member] ?? 0;
                  await new Promise<void>((resolve) => waiting.push(resolve));
                  return reply(der);
                })
                .then(
                  (answer) => check(answer instanceof CachedAnswer ? answer.body : answer.der, asked, members),
                  (error) => assert.equal(error.code, 'ocsp.busy'),
                ),
            );
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
      while (waiting.length > 0) {
        waiting.shift()?.();
        await new Promise((resolve) => setImmediate(resolve));
      }
      await Promise.all(answers);
      assert.equal(cache.indexed, cache.size);
    }),
    { numRuns: 300 },
  );
});

test('TEST-KEY-09 an answer that is asked for often is made again ahead of its end, and nobody waits for it', async () => {
  const { clock, cache, reply, get, fill } = rig();
  const first = await fill('k', '01');
  clock.advance(51);
  assert.equal(get('k'), first, 'given at once, while the next one is made');
  assert.equal(get('k'), first);
  await new Promise(setImmediate);
  const second = get('k');
  assert.notEqual(second, first);
  assert.equal(second?.thisUpdate.getTime(), clock.now().getTime());
  // Past the end of the first one there is one all the same.
  clock.advance(30);
  assert.ok(get('k'));
  assert.equal(cache.size, 1);
  assert.equal(cache.indexed, 1, 'the one before left nothing behind');
  // A failure of keyd is told to nobody as long as there is an answer.
  let fails = true;
  const made = async () => {
    if (fails) throw new Error('keyd is away');
    return reply();
  };
  fails = false;
  await cache.fill('other', ['02' as Serial], made);
  fails = true;
  clock.advance(60);
  assert.ok(get('other'));
  await new Promise(setImmediate);
  assert.ok(get('other'));
  clock.advance(16);
  assert.equal(get('other'), undefined);
});

test('TEST-KEY-09 a status that changes while an answer is made again ahead of its end is in every answer from then on', async () => {
  const { clock, cache, reply, get, changed } = rig();
  let release: () => void = () => {};
  let status = 1;
  let slow = false;
  await cache.fill('k', ['01' as Serial], async () => {
    const der = body.slice().fill(status);
    if (slow) await new Promise<void>((resolve) => (release = resolve));
    return reply(der);
  });
  clock.advance(60);
  slow = true;
  assert.equal(get('k')?.body[0], 1);
  status = 2;
  changed('01');
  assert.equal(get('k'), undefined, 'the old answer is gone');
  slow = false;
  release();
  await new Promise(setImmediate);
  assert.equal(get('k')?.body[0] ?? 2, 2, 'what was begun before is never kept');
});
