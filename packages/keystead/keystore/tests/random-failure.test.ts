import assert from 'node:assert/strict';
import nodeCrypto from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { generateSoftwareKey } from '@keystead/core/crypto';
import { createSealedKeystore, writeSealedPkcs8Pem } from '../index.ts';
import { clock, inTemporaryDirectory, phrase } from './support.ts';

// In a file of its own: a generator that failed stays failed for the rest of the process.
test('TEST-KEY-01: with a stuck random source a keystore makes no key and no file, and keeps those it has', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'keystore.sealed');
    const keystore = await createSealedKeystore(path, phrase('correct horse'), clock);
    await keystore.generate('before', 'P-256', '');
    const { pkcs8 } = generateSoftwareKey('P-256');
    const before = readFileSync(path);

    mock.method(nodeCrypto, 'randomBytes', (length: number) => Buffer.alloc(length));
    const stopped = { code: 'rng.unhealthy' };
    await assert.rejects(keystore.generate('after', 'P-256', ''), stopped);
    await assert.rejects(keystore.signer('before').sign(new Uint8Array(1)), stopped);
    await assert.rejects(createSealedKeystore(join(dir, 'second'), phrase('correct horse'), clock), stopped);
    await assert.rejects(writeSealedPkcs8Pem(join(dir, 'key.pem'), pkcs8, phrase('correct horse')), stopped);
    assert.deepEqual(
      keystore.list().map(({ id }) => id),
      ['before'],
    );
    assert.deepEqual(readFileSync(path), before);
    assert.deepEqual(readdirSync(dir), ['keystore.sealed']);
  });
});
