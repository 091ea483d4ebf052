import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SIGNING_STEPS, type SigningEvent, stateAfter, statesMarkdown } from '../states.ts';

const EVENTS: readonly SigningEvent[] = ['propose', 'approve', 'sign', 'refuse', 'expire', 'withdraw'];
const STATES = [...new Set(SIGNING_STEPS.flatMap(({ from, to }) => [from, to]))];

test('every state and event: a step of the table, or a refusal; what has ended stays as it is', () => {
  for (const from of STATES)
    for (const event of EVENTS) {
      const step = SIGNING_STEPS.find((one) => one.from === from && one.event === event);
      if (step !== undefined) assert.equal(stateAfter('a', from, event), step.to);
      else assert.throws(() => stateAfter('a', from, event), { code: 'signing.request-closed' });
    }
  for (const end of ['signed', 'refused', 'expired', 'withdrawn'])
    assert.ok(SIGNING_STEPS.every(({ from }) => from !== end));
  assert.ok(SIGNING_STEPS.filter(({ to }) => to === 'signed').every(({ from }) => from === 'approved'));
});

test('docs/signing.md shows the table of states as it is in force', () => {
  const page = readFileSync(fileURLToPath(new URL('../../../../docs/signing.md', import.meta.url)), 'utf8');
  assert.ok(page.includes(statesMarkdown()), 'print it with statesMarkdown() between the marks');
});
