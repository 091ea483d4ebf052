import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { MacWork } from '../mac-work.ts';

const busy = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'cmp.busy';

test('one reference fills its part of the line, all together fill the line, and what ends makes room', async () => {
  const line = new MacWork();
  const gate = Promise.withResolvers<void>();
  let [running, most] = [0, 0];
  const work = async (): Promise<void> => {
    running += 1;
    most = Math.max(most, running);
    await gate.promise;
    running -= 1;
  };
  const under: Promise<void>[] = [];
  const ask = (reference: string): void => void under.push(line.run(reference, work));
  for (let i = 0; i < 32; i += 1) ask('a');
  await assert.rejects(line.run('a', work), busy);
  for (const reference of ['b', 'c', 'd']) for (let i = 0; i < 32; i += 1) ask(reference);
  await assert.rejects(line.run('e', work), busy);
  gate.resolve();
  await Promise.all(under);
  assert.equal(most, 1, 'one after the other');
  await Promise.all(['a', 'e'].map((reference) => line.run(reference, work)));
});

test('work that fails gives its place back, and tells its own asker alone', async () => {
  const line = new MacWork();
  const broken = line.run('a', () => Promise.reject(new RangeError('broken')));
  const sound = line.run('a', async () => 'done');
  await assert.rejects(broken, RangeError);
  assert.equal(await sound, 'done');
  for (let i = 0; i < 40; i += 1)
    await assert.rejects(
      line.run('a', () => Promise.reject(new RangeError('no'))),
      RangeError,
    );
});
