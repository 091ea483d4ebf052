import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeysteadError } from '../../errors/index.ts';
import {
  generatedKey,
  KEY_TRANSITIONS,
  type KeyEvent,
  type KeyStanding,
  type KeyStep,
  replayKey,
  stepKey,
} from '../index.ts';

const EVENTS: readonly KeyEvent[] = ['activate', 'suspend', 'resume', 'deactivate', 'compromise', 'destroy'];
const START = Date.UTC(2026, 0, 1);

/** What anybody might do to a key: any events, each a while after the one before. */
const anything = fc.array(
  fc.record({ event: fc.constantFrom(...EVENTS), after: fc.integer({ min: 0, max: 10 ** 10 }) }),
  { maxLength: 30 },
);

/** Tries each, and keeps what the table allows. */
function live(tries: readonly { event: KeyEvent; after: number }[]): { steps: KeyStep[]; standings: KeyStanding[] } {
  const steps: KeyStep[] = [{ event: 'generate', at: START }];
  const standings = [generatedKey(START)];
  let at = START;
  for (const { event, after } of tries) {
    const before = standings.at(-1) ?? generatedKey(START);
    at += after;
    try {
      standings.push(stepKey(before, { event, at }));
      steps.push({ event, at });
    } catch (error) {
      assert.ok(error instanceof KeysteadError && error.code === 'key.transition-forbidden', String(error));
    }
  }
  return { steps, standings };
}

test('TEST-KEY-25 whatever happens to a key, its state only ever goes a way of the table', () => {
  fc.assert(
    fc.property(anything, (tries) => {
      const { steps, standings } = live(tries);
      standings.slice(1).forEach(({ state }, index) => {
        const from = standings[index]?.state;
        const event = steps[index + 1]?.event;
        assert.ok(KEY_TRANSITIONS.some((way) => way.from === from && way.event === event && way.to === state));
      });
    }),
  );
});

test('a destroyed key stays destroyed, and one that was compromised is never active again', () => {
  fc.assert(
    fc.property(anything, (tries) => {
      const states = live(tries).standings.map(({ state }) => state);
      const after = (state: string): string[] => {
        const at = states.indexOf(state as (typeof states)[number]);
        return at < 0 ? [] : states.slice(at);
      };
      assert.ok(after('destroyed').every((state) => state === 'destroyed'));
      assert.ok(after('compromised').every((state) => state === 'compromised' || state === 'destroyed'));
      assert.ok(after('deactivated').every((state) => state !== 'active' && state !== 'suspended'));
    }),
  );
});

test('the dates of a key follow one another, and the last change is at the latest of them', () => {
  fc.assert(
    fc.property(anything, (tries) => {
      const { steps, standings } = live(tries);
      const { dates, state } = standings.at(-1) ?? generatedKey(START);
      const order = ['generatedAt', 'activatedAt', 'deactivatedAt', 'compromisedAt', 'destroyedAt'] as const;
      const there = order.map((name) => dates[name]).filter((date) => date !== null);
      // A key may be compromised before it would have been deactivated, but each date that is there is at its step.
      for (const date of there) assert.ok(steps.some(({ at }) => at === date));
      assert.equal(dates.generatedAt, Math.min(...there));
      if (dates.destroyedAt !== null) assert.equal(dates.destroyedAt, Math.max(...there));
      assert.deepEqual(
        there,
        there.toSorted((a, b) => a - b),
      );
      if (state === 'active') assert.equal(dates.suspendedAt, null);
      if (state === 'suspended') assert.notEqual(dates.suspendedAt, null);
    }),
  );
});

test('a history that is replayed gives the same state and dates', () => {
  fc.assert(
    fc.property(anything, (tries) => {
      const { steps, standings } = live(tries);
      assert.deepEqual(replayKey(steps), standings.at(-1));
    }),
  );
});

test('a step into the past is refused, and so is a history without a beginning or with two', () => {
  const active = stepKey(generatedKey(START), { event: 'activate', at: START + 5 });
  const disordered = { code: 'key.history-disordered' };
  assert.throws(() => stepKey(active, { event: 'suspend', at: START + 4 }), disordered);
  assert.throws(() => stepKey(active, { event: 'suspend', at: Number.NaN }), disordered);
  assert.throws(() => stepKey(active, { event: 'generate', at: START + 6 }), disordered);
  assert.throws(() => replayKey([]), disordered);
  assert.throws(() => replayKey([{ event: 'activate', at: START }]), disordered);
  assert.equal(stepKey(active, { event: 'suspend', at: START + 5 }).state, 'suspended');
});
