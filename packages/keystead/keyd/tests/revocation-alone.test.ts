import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Serial } from '@keystead/core/bytes';
import type { GivenReason } from '@keystead/core/lifecycle';
import { KeydBed } from './bed.ts';
import { releaseOf, signedBy } from './release.ts';

const unissued = (from: number, count: number): Serial[] =>
  Array.from({ length: count }, (_, at) => `4${(from + at).toString(16).padStart(5, '0')}` as Serial);

async function withheld(bed: KeydBed, serials: readonly Serial[], reason: GivenReason | 'certificateHold', at?: Date) {
  const entries = serials.map((serial) => ({ serial, revokedAt: at ?? bed.clock.now(), reason }));
  return (await bed.client.listRevocations({ issuer: 'operational', entries })).withheld;
}

test('TEST-KEY-23 what takes nothing of the allowance of a front end takes nothing after a restart of keyd either', async () => {
  // Several agree to a batch whose key is in foreign hands; for another reason one operator may revoke as many as there are.
  const bed = await KeydBed.make({
    revocation: {
      authority: [{ selectors: ['batch'], reasons: ['keyCompromise'], approvals: 1, roles: ['policy-administrator'] }],
    },
  });
  try {
    assert.equal(await withheld(bed, unissued(0, 1000), 'superseded'), 0);
    await bed.restart();
    assert.equal(await withheld(bed, unissued(1000, 999), 'keyCompromise'), 0);
    await bed.restart();
    assert.equal(await withheld(bed, unissued(1999, 2), 'keyCompromise'), 1);
  } finally {
    await bed.remove();
  }
});

test('TEST-KEY-23 a hold that others released and that a front end sends once more takes nothing of its allowance', async () => {
  const bed = await KeydBed.make({ revocation: { alone: { certificates: 2, seconds: 86_400 } } });
  try {
    const idevid = (await bed.provision('KS-0001', await bed.ticket())).certificate;
    const { serial } = await bed.enrol('KS-0001', idevid);
    const held = bed.clock.now();
    assert.equal(await withheld(bed, [serial], 'certificateHold', held), 0);
    bed.clock.advance(1);
    const certificates = [{ issuer: 'operational' as const, serial }];
    const statements = [await signedBy(bed, 'ada', releaseOf(certificates))];
    await bed.client.releaseHold({ statements, certificates, requestId: 'release' });
    for (let time = 0; time < 3; time += 1)
      assert.equal(await withheld(bed, [serial, serial], 'certificateHold', held), 0);
    assert.equal(await withheld(bed, unissued(0, 1), 'keyCompromise'), 0);
    await bed.restart();
    assert.equal(await withheld(bed, unissued(1, 1), 'keyCompromise'), 1);
  } finally {
    await bed.remove();
  }
});
