import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Turnstile } from '../turnstile.ts';

test('work that goes through alone never runs beside any other, in whatever order things end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { minLength: 1, maxLength: 12 }),
      fc.scheduler(),
      async (kinds, scheduler) => {
        const turnstile = new Turnstile();
        let inside = 0;
        let alone = 0;
        const work = async (isAlone: boolean): Promise<void> => {
          inside += 1;
          alone += isAlone ? 1 : 0;
          assert.ok(alone === 0 || inside === 1, `${inside} inside, ${alone} alone`);
          await scheduler.schedule(Promise.resolve());
          assert.ok(alone === 0 || inside === 1, `${inside} inside, ${alone} alone`);
          inside -= 1;
          alone -= isAlone ? 1 : 0;
        };
        const all = kinds.map((isAlone) =>
          isAlone ? turnstile.alone(() => work(true)) : turnstile.through(() => work(false)),
        );
        await scheduler.waitFor(Promise.all(all));
        assert.equal(inside, 0);
      },
    ),
    { numRuns: 200 },
  );
});

test('work that fails lets the next through', async () => {
  const turnstile = new Turnstile();
  const fails = (): Promise<never> => Promise.reject(new Error('of the test'));
  await assert.rejects(turnstile.alone(fails));
  await assert.rejects(turnstile.through(fails));
  assert.equal(await turnstile.alone(async () => 'done'), 'done');
});

test('work that goes alone waits for what is under way, and holds up what comes after', async () => {
  const turnstile = new Turnstile();
  const order: string[] = [];
  let finish: () => void = () => {};
  const first = turnstile.through(async () => {
    await new Promise<void>((resolve) => {
      finish = resolve;
    });
    order.push('before');
  });
  const change = turnstile.alone(async () => void order.push('alone'));
  const after = turnstile.through(async () => void order.push('after'));
  finish();
  await Promise.all([first, change, after]);
  assert.deepEqual(order, ['before', 'alone', 'after']);
});
