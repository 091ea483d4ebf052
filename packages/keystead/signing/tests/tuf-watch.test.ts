import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { keepFresh, type Versions } from '../tuf/index.ts';

const START = Date.parse('2027-01-15T12:00:00Z');

const published = (goodSeconds: number): Versions => {
  const until = new Date(START + goodSeconds * 1000).toISOString();
  return { root: 1, targets: 1, snapshot: 1, timestamp: 1, until, timestampUntil: until, peopleUntil: until };
};

/**
 * The waits, in seconds, of a watch over a timestamp that was good for so long when the watch began, while keyd answers the
 * first `answers` times and is away from then on.
 */
async function waits(goodSeconds: number, answers: 0 | 1): Promise<number[]> {
  let at = START;
  const asked: number[] = [];
  await keepFresh(
    async () => {
      asked.push(at);
      if (asked.length > answers) throw new KeysteadError('keyd.unreachable', { field: 'keyd' });
      return published(goodSeconds);
    },
    {
      clock: { now: () => new Date(at) },
      pause: async (ms) => {
        at += ms;
      },
      ended: () => asked.length > 20,
      told: () => {},
    },
    published(goodSeconds),
  );
  return asked.slice(1).map((ms, index) => (ms - (asked[index] ?? 0)) / 1000);
}

test('however long keyd is away, a watch asks again within an eighth of what a timestamp is good for, and within five minutes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 60, max: 86_400 }), fc.constantFrom(0, 1), async (good, answers) => {
      const most = Math.min(300, Math.max(10, good / 8));
      // What was answered is asked for again at half of its time.
      const again = (await waits(good, answers)).slice(answers);
      assert.ok(again.length >= 19);
      assert.equal(again[0], Math.min(answers === 0 ? 10 : 20, most));
      for (const wait of again) assert.ok(wait >= 10 && wait <= most, `${wait} s`);
      assert.equal(again.at(-1), most);
    }),
    { numRuns: 50 },
  );
});
