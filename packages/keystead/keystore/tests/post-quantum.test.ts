import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { verifySignature } from '@keystead/core/crypto';
import { createSealedKeystore, openSealedKeystore } from '../index.ts';
import { clock, inTemporaryDirectory, phrase } from './support.ts';

test('a sealed keystore holds ML-DSA keys, which sign as before once it is opened again', async () => {
  await inTemporaryDirectory(async (directory) => {
    const path = join(directory, 'keystore.sealed');
    const made = await createSealedKeystore(path, phrase('correct horse battery staple'), clock);
    const keys = [
      await made.generate('second-65', 'ML-DSA-65', 'second signatures of firmware'),
      await made.generate('second-87', 'ML-DSA-87', 'second signatures of firmware'),
    ];
    made.close();
    const opened = await openSealedKeystore(path, phrase('correct horse battery staple'), clock);
    for (const { id, algorithm, spki } of keys) {
      const signer = opened.signer(id);
      assert.equal(signer.keyAlgorithm, algorithm);
      const data = Buffer.from('firmware');
      assert.equal(verifySignature(signer.signatureAlgorithm, spki, data, await signer.sign(data)), true);
    }
    opened.close();
  });
});
