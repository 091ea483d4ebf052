import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as library from '../index.ts';

const PROJECT = fileURLToPath(new URL('../../../..', import.meta.url));
const PAGE = readFileSync(new URL('../../../../docs/crypto.md', import.meta.url), 'utf8');

/** What a command prints; that it fails is a failure of the test. */
function printed(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd: PROJECT, encoding: 'utf8' });
  if (error !== undefined) throw error;
  assert.equal(status, 0, stderr);
  return stdout;
}

/** `openssl kdf` prints AB:CD. */
const plain = (text: string): string => text.replaceAll(':', '').trim().toLowerCase();

const examples = [...PAGE.matchAll(/```ts\n([\s\S]*?)```\n+```(text|sh)\n([\s\S]*?)```/g)];

test('TEST-KEY-04: crypto.md: every example has what it prints behind it', () => {
  assert.equal(examples.length, PAGE.split('```ts').length - 1);
  assert.ok(examples.length >= 4);
});

for (const [index, [, source = '', kind, expected = '']] of examples.entries()) {
  test(`TEST-KEY-04: crypto.md: example ${index + 1} of ${examples.length} runs as it stands and prints what the page says`, () => {
    const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript'];
    const ours = printed(process.execPath, [...flags, '--eval', source]);
    if (kind === 'text') assert.equal(ours, expected);
    else assert.equal(plain(ours), plain(printed('bash', ['--norc', '-euo', 'pipefail', '-c', expected])));
  });
}

test('crypto.md: its table names every function of keystead/crypto, and none that is not there', () => {
  const rows = PAGE.split('\n').filter((line) => line.startsWith('| `'));
  const named = rows.flatMap((row) => [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name = '']) => name));
  assert.deepEqual(named.sort(), Object.keys(library).sort());
});
