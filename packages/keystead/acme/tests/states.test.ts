import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { STATE_TABLES, stateAfter, statesMarkdown } from '../states.ts';

test('docs/acme.md prints the tables that the code goes by', () => {
  const page = readFileSync(new URL('../../../../docs/acme.md', import.meta.url), 'utf8');
  assert.ok(page.includes(statesMarkdown()), 'print statesMarkdown() into docs/acme.md');
});

test('whatever happens in whatever order, a resource moves only as its table says, and what is over stays so', () => {
  for (const table of STATE_TABLES) {
    const events = [...new Set(table.steps.map(({ event }) => event))];
    const final = new Set(table.steps.map(({ to }) => to).filter((to) => table.steps.every(({ from }) => from !== to)));
    assert.ok(final.size > 0, table.name);
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...events)), (happened) => {
        let state = table.initial;
        for (const event of happened) {
          try {
            const next = stateAfter(table, state, event);
            assert.equal(final.has(state), false, `${table.name}: ${event} of ${state}`);
            state = next;
          } catch (error) {
            assert.ok(error instanceof KeysteadError && error.code === 'acme.state');
          }
        }
      }),
      { numRuns: 50 },
    );
  }
});
