import assert from 'node:assert/strict';
import { test } from 'node:test';
import { interopTable, proofsOf } from '../../tools/test/interop.ts';

test('the table of clients is made from the marks in the names of tests, and from nothing else', () => {
  const names = ['one [a client: EST x, EST y]', 'two [b: EST x] [c: OCSP z]', 'three: without a mark', 'an [array]'];
  const table = interopTable(names);
  assert.match(
    table,
    /## EST\n\n\| operation \| a client \| b \|\n\|---\|:-:\|:-:\|\n\| x \| yes \| yes \|\n\| y \| yes \| {2}\|\n/,
  );
  assert.match(table, /## OCSP\n\n\| operation \| c \|\n/);
  assert.doesNotMatch(table, /three|array/);
});

test('a mark that names no protocol is a mistake, and not passed over', () => {
  assert.throws(() => proofsOf('four [b: lower case]'), SyntaxError);
});
