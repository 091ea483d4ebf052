import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { CONFLICTS } from '@keystead/core/lifecycle';

test('the page lists every conflict of reconciliation, with its meaning', () => {
  const page = readFileSync(new URL('../../../../docs/factory-reconciliation.md', import.meta.url), 'utf8');
  const rows = page.split('\n').filter((line) => /^\| `[a-z]+-[a-z-]+` \|/.test(line));
  assert.deepEqual(
    rows,
    Object.entries(CONFLICTS).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`),
  );
});
