import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { DerivingKeystore } from '../../keystore/index.ts';
import type { MasterKeys } from '../master-keys.ts';
import { TlsSeal } from '../tls-seal.ts';
import { KeydBed } from './bed.ts';

const KEY = 'a'.repeat(64) as SpkiSha256;

test('TEST-KEY-16 a token that makes or uses no master is unfit for a TLS key that is kept, which serve starts without; of one that is away it is asked again', async () => {
  const bed = await KeydBed.make();
  const { policy } = bed;
  await bed.remove();
  const sealBy = (code: ConstructorParameters<typeof KeysteadError>[0], at: 'make' | 'use') => {
    const refuse = async (): Promise<never> => {
      throw new KeysteadError(code, { field: 'key', seen: 'CKR_MECHANISM_INVALID' });
    };
    const keystore = {
      generateDeriving: refuse,
      derivingKeys: () => [],
      deriver: () => ({ derive: refuse }),
    } as unknown as DerivingKeystore;
    const masters = {
      has: () => false,
      require: async () => {
        if (at === 'make') await refuse();
      },
    } as unknown as MasterKeys;
    return new TlsSeal({ keystore, masters }).derive(policy, KEY, undefined, new Date(0));
  };
  for (const at of ['make', 'use'] as const) {
    for (const code of ['keystore.mechanism-unsupported', 'keystore.template-refused'] as const)
      await assert.rejects(sealBy(code, at), { code: 'tls-key.keystore-unfit', message: /CKR_MECHANISM_INVALID/ });
    await assert.rejects(sealBy('keystore.token-absent', at), { code: 'keystore.token-absent' });
  }
  await assert.rejects(sealBy('keystore.token-write-protected', 'make'), { code: 'tls-key.keystore-unfit' });
});
