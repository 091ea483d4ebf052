import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requireSameFleet } from '../index.ts';

test('the fleet of the trust bundles keeps its name, and one that has none yet gets one', () => {
  const pumps = { trust: { fleet: 'pumps' } };
  requireSameFleet('pumps', pumps);
  requireSameFleet(undefined, pumps);
  // Without the section keyd signs no bundles; when it is back it must be the same.
  requireSameFleet('pumps', {});
  assert.throws(() => requireSameFleet('pumps', { trust: { fleet: 'infusion-pumps' } }), {
    code: 'policy.fleet-changed',
    field: 'trust.fleet',
    seen: 'infusion-pumps, where it is pumps',
  });
});
