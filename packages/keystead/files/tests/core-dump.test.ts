import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

const MAIN = new URL('../../cli/main.ts', import.meta.url).href;
/** Runs the program as somebody types it, and then tells the filter of itself and of a process that it started. */
const SCRIPT = `
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
process.argv = [process.execPath, 'keystead', 'trace', '--help'];
await import(${JSON.stringify(MAIN)});
const child = execFileSync('cat', ['/proc/self/coredump_filter'], { encoding: 'utf8' });
console.log(['', readFileSync('/proc/self/coredump_filter', 'utf8').trim(), child.trim()].join('\\nfilter '));
`;

test('no process of the program has its memory in a core dump: ceremony, keyd, serve, and start with its passphrases', () => {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', SCRIPT];
  const out = execFileSync(process.execPath, args, { encoding: 'utf8' });
  const filters = [...out.matchAll(/^filter ([0-9a-f]+)$/gm)].map(([, filter]) => Number.parseInt(filter ?? '', 16));
  assert.deepEqual(filters, [0, 0]);
});
