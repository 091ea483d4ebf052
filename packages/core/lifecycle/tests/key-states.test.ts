import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  KEY_STATES,
  KEY_TRANSITIONS,
  type KeyEvent,
  type KeyState,
  keyStatesMarkdown,
  nextKeyState,
} from '../index.ts';

const states = Object.keys(KEY_STATES) as KeyState[];
const events: KeyEvent[] = ['activate', 'suspend', 'resume', 'deactivate', 'compromise', 'destroy'];

test('the table allows exactly its transitions and refuses every other one', () => {
  for (const from of states) {
    for (const event of events) {
      const way = KEY_TRANSITIONS.find((transition) => transition.from === from && transition.event === event);
      if (way === undefined) {
        assert.throws(() => nextKeyState(from, event), {
          code: 'key.transition-forbidden',
          seen: `${event} from ${from}`,
        });
      } else {
        assert.equal(nextKeyState(from, event), way.to);
      }
    }
  }
});

test('only an active key protects, and a key that left that state comes back only from suspension', () => {
  assert.deepEqual(
    states.filter((state) => KEY_STATES[state].protect),
    ['active'],
  );
  assert.deepEqual(
    KEY_TRANSITIONS.filter((transition) => transition.to === 'active').map((transition) => transition.from),
    ['pre-activation', 'suspended'],
  );
});

test('a destroyed key stays destroyed, and a compromised one can only be destroyed', () => {
  const from = (state: KeyState) => KEY_TRANSITIONS.filter((transition) => transition.from === state);
  assert.deepEqual(from('destroyed'), []);
  assert.deepEqual(
    from('compromised').map((transition) => transition.to),
    ['destroyed'],
  );
});

test('the tables print each state and each transition once', () => {
  const lines = keyStatesMarkdown().split('\n');
  for (const state of states)
    assert.ok(lines.some((line) => line.startsWith(`| ${state} | ${KEY_STATES[state].meaning}`)));
  for (const { from, event, to } of KEY_TRANSITIONS) {
    assert.equal(lines.filter((line) => line.startsWith(`| ${from} | ${event} | ${to} |`)).length, 1);
  }
});
