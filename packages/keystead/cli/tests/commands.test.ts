import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandsFor } from '../commands.ts';

test('a command that is named is loaded alone, under the name that it was asked by; help and a misspelt word have all', async () => {
  const all = await commandsFor('--help');
  assert.ok(all.length > 25);
  for (const command of all) {
    const [one, ...others] = await commandsFor(command.name());
    assert.equal(one?.name(), command.name());
    assert.equal(others.length, 0, command.name());
  }
  assert.equal(new Set(all.map((command) => command.name())).size, all.length);
  for (const word of [undefined, 'help', 'sgin', 'constructor', '__proto__']) {
    assert.equal((await commandsFor(word)).length, all.length, word);
  }
});
