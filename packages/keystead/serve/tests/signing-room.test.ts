import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavingRoom } from '../signing-domain.ts';

const MIB = 1024 * 1024;

test('an upload that did not tell its length, or does not come alone, ends when the disk has no more room', async () => {
  const piece = new Uint8Array(8 * MIB);
  let room = 64 * MIB;
  let taken = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (;;) yield piece;
  }
  const take = async (): Promise<void> => {
    for await (const { length } of leavingRoom(endless(), async () => room)) {
      room -= length;
      taken += length;
      assert.ok(taken <= 64 * MIB);
    }
  };
  await assert.rejects(take(), { code: 'signing.no-space', field: 'body' });
});
