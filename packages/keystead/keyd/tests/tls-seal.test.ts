import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { passphrase } from '../../ceremony/tests/rehearsal.ts';
import { createSealedKeystore } from '../../keystore/index.ts';
import { TlsSeal } from '../tls-seal.ts';
import { KeydBed } from './bed.ts';

const KEY = 'a'.repeat(64) as SpkiSha256;

test('TEST-KEY-16 a token that makes or uses no master is unfit for a TLS key that is kept, which serve starts without; of one that is away it is asked again', async (t) => {
  const bed = await KeydBed.make();
  const { policy, clock } = bed;
  await bed.remove();
  const directory = mkdtempSync(join(tmpdir(), 'keystead-tls-seal-'));
  const kept = await createSealedKeystore(join(directory, 'keystore'), passphrase('a passphrase of the test'), clock);
  t.after(() => {
    kept.close();
    rmSync(directory, { recursive: true });
  });
  const sealBy = (code: ConstructorParameters<typeof KeysteadError>[0], at: 'make' | 'use') => {
    const refuse = async (): Promise<never> => {
      throw new KeysteadError(code, { field: 'key', seen: 'CKR_MECHANISM_INVALID' });
    };
    const keystore = Object.assign(kept, { deriver: () => ({ derive: refuse }) });
    const require = async (): Promise<void> => {
      if (at === 'make') await refuse();
    };
    return new TlsSeal({ keystore, masters: { has: () => false, require } }).derive(
      policy,
      KEY,
      undefined,
      clock.now(),
    );
  };
  for (const at of ['make', 'use'] as const) {
    for (const code of ['keystore.mechanism-unsupported', 'keystore.template-refused'] as const)
      await assert.rejects(sealBy(code, at), { code: 'tls-key.keystore-unfit', message: /CKR_MECHANISM_INVALID/ });
    await assert.rejects(sealBy('keystore.token-absent', at), { code: 'keystore.token-absent' });
  }
  await assert.rejects(sealBy('keystore.token-write-protected', 'make'), { code: 'tls-key.keystore-unfit' });
});
