import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CampaignState } from '../../store/index.ts';
import { CAMPAIGN_KINDS, rulesOf } from '../kinds.ts';
import {
  CAMPAIGN_EVENTS,
  CAMPAIGN_STATES,
  CAMPAIGN_STEPS,
  canStep,
  INITIAL,
  stateAfter,
  statesMarkdown,
  stepsMarkdown,
} from '../states.ts';

type At = { readonly state: CampaignState; readonly was: CampaignState | null };
const STATES = Object.keys(CAMPAIGN_STATES) as CampaignState[];
const ENDS: readonly CampaignState[] = ['retired', 'rolled-back', 'aborted'];
const start: At = { state: INITIAL, was: null };

/** Where a campaign comes by these events; what the table does not know is refused and changes nothing. */
function walk(events: readonly (typeof CAMPAIGN_EVENTS)[number][]): At[] {
  const path: At[] = [start];
  for (const event of events) {
    const at = path.at(-1) ?? start;
    if (canStep(at, event)) path.push(stateAfter('a', at, event));
    else assert.throws(() => stateAfter('a', at, event), { code: 'rotation.step', field: 'a' });
  }
  return path;
}
const events = fc.array(fc.constantFrom(...CAMPAIGN_EVENTS), { maxLength: 40 });

test('TEST-KEY-15 by any events a campaign stands in a state of the table, and one that has ended stays as it is', () => {
  fc.assert(
    fc.property(events, (some) => {
      const path = walk(some);
      const end = path.findIndex(({ state }) => ENDS.includes(state));
      assert.ok(path.every(({ state }) => STATES.includes(state)));
      assert.ok(end === -1 || end === path.length - 1);
    }),
  );
});

test('TEST-KEY-15 nothing is retired that was not started, switched and settled before, in this order, whatever comes between', () => {
  fc.assert(
    fc.property(events, (some) => {
      const states = walk(some).map(({ state }) => state);
      if (states.at(-1) !== 'retired') return;
      const order = ['planned', 'distributing', 'switched', 'retiring', 'retired'] as const;
      const places = order.map((state) => states.indexOf(state));
      assert.deepEqual(
        [...places].sort((a, b) => a - b),
        places,
      );
      assert.ok(!places.includes(-1));
    }),
  );
});

test('a campaign that pauses goes on where it was, and never twice over', () => {
  fc.assert(
    fc.property(events, (some) => {
      for (const at of walk(some)) {
        assert.equal(at.state === 'paused', at.was !== null);
        if (!canStep(at, 'pause')) continue;
        const paused = stateAfter('a', at, 'pause');
        assert.deepEqual(stateAfter('a', paused, 'resume'), at);
        assert.equal(canStep(paused, 'pause'), false);
      }
    }),
  );
});

test('nothing that has ended is taken back, and what is retiring only where its kind has no key that would come back', () => {
  for (const state of ['retired', 'rolled-back', 'aborted'] as const)
    assert.throws(() => stateAfter('a', { state, was: null }, 'roll-back'), { code: 'rotation.step' });
  const back = CAMPAIGN_KINDS.filter((kind) => rulesOf(kind).reversible.includes('retiring'));
  // SP 800-57 part 1 r5 section 7: a deactivated key is not activated again.
  for (const kind of ['issuing-ca', 'root'] as const) assert.ok(!back.includes(kind));
  assert.ok(back.includes('algorithm') && back.includes('device-credentials'));
});

test('every state is reached, and the tables print each state and each step once', () => {
  const reached = new Set<string>([INITIAL, ...CAMPAIGN_STEPS.map(({ to }) => to)]);
  assert.deepEqual([...reached].sort(), [...STATES].sort());
  assert.equal(statesMarkdown().trim().split('\n').length, STATES.length + 2);
  assert.equal(stepsMarkdown().trim().split('\n').length, CAMPAIGN_STEPS.length + 2);
});
