import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type TrustEvent, TrustLoop } from '../daemon/trust-loop.ts';
import type { Timers, TrustNews } from '../index.ts';

test('however many ask for a look while one is under way, one more follows, and one alarm is left', async () => {
  const alarms = new Set<() => void>();
  const timers: Timers = {
    after(_ms, act) {
      alarms.add(act);
      return () => alarms.delete(act);
    },
  };
  const answers: ((news: TrustNews) => void)[] = [];
  const events: TrustEvent[] = [];
  const loop = new TrustLoop({
    trust: { update: () => new Promise((resolve) => answers.push(resolve)) },
    everySeconds: 3600,
    timers,
    onEvent: async (event) => void events.push(event),
  });
  const first = loop.now();
  const others = [loop.now(), loop.now(), loop.now()];
  assert.equal(answers.length, 1);
  answers[0]?.({ type: 'unchanged', version: 1 });
  await first;
  // The one that follows begins in the same turn as the end of the first.
  await new Promise(setImmediate);
  assert.equal(answers.length, 2);
  answers[1]?.({ type: 'unchanged', version: 1 });
  await Promise.all(others);
  assert.deepEqual([answers.length, events.length, alarms.size], [2, 2, 1]);
  await loop.stop();
  assert.equal(alarms.size, 0, 'nothing keeps the process up');
});
