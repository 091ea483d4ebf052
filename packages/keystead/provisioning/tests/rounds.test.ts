import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Rounds } from '../rounds.ts';

/** Rounds that end when the test says so. */
function slow(rounds: Rounds) {
  const begun: { end(): void; fail(): void }[] = [];
  const ask = (): Promise<void> =>
    rounds.whole(() => new Promise((end, reject) => begun.push({ end, fail: () => reject(new Error('the disk')) })));
  return { begun, ask };
}
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('who asks while a round is under way has a part in the next one, which all who wait share', async () => {
  const { begun, ask } = slow(new Rounds());
  const first = ask();
  const others = [ask(), ask(), ask()];
  const served: number[] = [];
  for (const [at, one] of others.entries()) void one.then(() => served.push(at));
  await turn();
  assert.equal(begun.length, 1);
  begun[0]?.end();
  await first;
  await turn();
  assert.deepEqual([begun.length, served], [2, []], 'the first round is not theirs: it began before they asked');
  begun[1]?.end();
  await Promise.all(others);
  assert.equal(begun.length, 2);
  const later = ask();
  begun[2]?.end();
  await later;
});

test('a round that fails fails for those who shared it, and the next one runs all the same', async () => {
  const { begun, ask } = slow(new Rounds());
  const first = ask();
  const next = ask();
  begun[0]?.fail();
  await assert.rejects(first, /the disk/);
  await turn();
  begun[1]?.end();
  await next;
});
