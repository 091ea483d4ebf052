import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SpkiSha256 } from '@keystead/core/bytes';
import { type KeyClaim, KeyClaims, KeyTaken } from '../key-claims.ts';

const claim: KeyClaim = {
  spkiSha256: 'a'.repeat(64) as SpkiSha256,
  owner: 'device:KS-0001',
  profile: 'idevid',
  csrSha256: 'b'.repeat(64),
  ticketId: 'batch-1',
  requestId: 'r-1',
};

test('the very same claim shares the outcome; the same key for another batch, device, profile or request is refused while it is under way', async () => {
  const claims = new KeyClaims();
  let finish: (made: string) => void = () => {};
  const first = claims.share(claim, () => new Promise<string>((resolve) => (finish = resolve)));
  const second = claims.share({ ...claim, requestId: 'r-2' }, async () => 'a second certificate');
  for (const other of [
    { ticketId: 'batch-2' },
    { ticketId: undefined },
    { owner: 'device:KS-0002' },
    { profile: 'x' },
  ]) {
    await assert.rejects(
      claims.share({ ...claim, ...other }, async () => 'a second certificate'),
      KeyTaken,
    );
  }
  finish('the certificate');
  assert.deepEqual(
    [await first, await second],
    [
      { value: 'the certificate', shared: false },
      { value: 'the certificate', shared: true },
    ],
  );
});
