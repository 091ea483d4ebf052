import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { holdCrl } from '../../ceremony/revocation-lists.ts';
import { passphrase } from '../../ceremony/tests/rehearsal.ts';
import { importLater } from '../later-import.ts';
import { KeydBed } from './bed.ts';

test('TEST-KEY-22 a CA that the root has revoked issues nothing more, and goes on to say what it has revoked', async () => {
  const bed = await KeydBed.make();
  try {
    const id = 'KS-0001';
    const { certificate } = await bed.provision(id, await bed.ticket());
    await bed.stop();
    const { rehearsal, clock } = bed;
    const { layout } = rehearsal;
    const { request: _request, policy: _policy, ...common } = rehearsal.options({ out: join(rehearsal.dir, 'crl') });
    await holdCrl(
      {
        ...common,
        passphrase: passphrase(),
        previous: layout.ceremony,
        revoke: { ca: 'operational', reason: 'cACompromise' },
      },
      { print() {}, confirm: async () => 'yes' },
    );
    assert.deepEqual((await importLater(layout, clock, { from: common.out })).revoked, ['operational']);
    await bed.start();
    await assert.rejects(bed.enrol(id, certificate), { code: 'ca.revoked' });
    const { crlNumbers } = await bed.client.status();
    await bed.client.signCrl({ issuer: 'operational', number: (crlNumbers.operational ?? 0) + 1, entries: [] });
  } finally {
    await bed.remove();
  }
});
