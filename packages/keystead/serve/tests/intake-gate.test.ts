import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimulatedClock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { IntakeGate } from '../intake-gate.ts';

const busy = (error: unknown) => error instanceof KeysteadError && error.code === 'consignment.busy';
const opened = () => {
  const clock = new SimulatedClock(new Date('2026-06-01T12:00:00.000Z'));
  return { clock, gate: new IntakeGate(clock) };
};

test('nothing is read from an address with twenty refused parcels until a minute has passed; good ones are never counted', () => {
  const { clock, gate } = opened();
  for (let n = 0; n < 100; n += 1) gate.admit('good')(false);
  for (let n = 0; n < 20; n += 1) gate.admit('bad')(true);
  assert.throws(() => gate.admit('bad'), busy);
  gate.admit('good')(false);
  clock.advance(61_000);
  gate.admit('bad')(false);
});

test('a clock that was set back silences nobody', () => {
  const { clock, gate } = opened();
  for (let n = 0; n < 20; n += 1) gate.admit('bad')(true);
  clock.set(new Date('2026-05-01T12:00:00.000Z'));
  gate.admit('bad')(false);
});

test('four bodies are read at once from one address, sixteen from all, and each that ends makes room once', () => {
  const { gate } = opened();
  const ends = [1, 2, 3, 4].map(() => gate.admit('a'));
  assert.throws(() => gate.admit('a'), busy);
  for (const from of ['b', 'c', 'd']) for (let n = 0; n < 4; n += 1) gate.admit(from);
  assert.throws(() => gate.admit('e'), busy);
  ends[0]?.(false);
  ends[0]?.(false);
  gate.admit('e');
  assert.throws(() => gate.admit('f'), busy);
});

test('two parcels are judged at a time', async () => {
  const { gate } = opened();
  let end: () => void = () => {};
  const wait = new Promise<void>((resolve) => {
    end = resolve;
  });
  const two = [gate.through(() => wait), gate.through(() => wait)];
  await assert.rejects(
    gate.through(async () => {}),
    busy,
  );
  end();
  await Promise.all(two);
  await gate.through(async () => {});
});
