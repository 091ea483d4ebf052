import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { SpkiSha256 } from '@keystead/core/bytes';
import { endingPins } from '@keystead/core/trust';
import { endingPinView } from '../../bundles/index.ts';
import { statusTable, type TrustView } from '../trust-status.ts';

const page = readFileSync(fileURLToPath(new URL('../../../../docs/trust-bundle.md', import.meta.url)), 'utf8');
const DAY = 86_400;
const at = (text: string): number => Date.parse(text) / 1000;

const view: TrustView = {
  ...{ fleet: 'pumps', changes: 1, urgent: false, keys: [], latest: null, content: null, published: null, uptake: [] },
  ...{ filterDate: null, refreshAt: null, filterAt: null, endingPins: [] },
};

test('TEST-KEY-16 keystead trust status says of a pin that ends which it is, when, and what to do, as docs/trust-bundle.md shows it; and nothing of others', () => {
  assert.doesNotMatch(statusTable(view), /pin/);
  const key = '9f1c2ab0d4e57c36'.padEnd(64, '0') as SpkiSha256;
  const until = at('2027-06-01T00:00:00Z');
  const window = { from: at('2026-06-01T00:00:00Z'), until };
  const pins = [{ role: 'update-server', keys: [{ spkiSha256: key, use: 'current' as const, ...window }] }];
  const ending = endingPins({ pins }, 30 * DAY, at('2027-04-10T00:00:00Z')).map(endingPinView);
  const line = statusTable({ ...view, endingPins: ending })
    .split('\n')
    .find((one) => one.startsWith('due'));
  const shown = page.split('\n').find((one) => one.trim().startsWith('due '));
  assert.ok(line && shown);
  assert.equal(shown.trim().replace(/ +/, ' '), line.replace(/ +/, ' '));
});
