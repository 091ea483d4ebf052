import assert from 'node:assert/strict';
import nodeCrypto from 'node:crypto';
import { mock, test } from 'node:test';
import {
  defaultPasswordKdf,
  encryptPkcs8,
  generateSoftwareKey,
  randomBytes,
  SecretBytes,
  sealBytes,
  softwareSigner,
} from '../index.ts';

// In a file of its own: a generator that failed stays failed for the rest of the process.
test('TEST-KEY-01: when the generator sticks in service, nothing is generated, sealed or signed any more', async () => {
  const key = SecretBytes.random(32);
  const pair = generateSoftwareKey('P-256');
  const signer = softwareSigner('P-256', pair.pkcs8);
  await signer.sign(new Uint8Array(1));

  const stuck = mock.method(nodeCrypto, 'randomBytes', (length: number) => Buffer.alloc(length, 0x42));
  assert.throws(() => randomBytes(20), { code: 'rng.unhealthy' });
  stuck.mock.restore();

  // The generator works again, but it is not trusted again.
  for (const algorithm of ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'] as const) {
    assert.throws(() => generateSoftwareKey(algorithm), { code: 'rng.unhealthy' });
  }
  assert.throws(() => randomBytes(1), { code: 'rng.unhealthy' });
  assert.throws(() => SecretBytes.random(32), { code: 'rng.unhealthy' });
  assert.throws(() => sealBytes(key, new Uint8Array(1), new Uint8Array()), { code: 'rng.unhealthy' });
  assert.throws(() => defaultPasswordKdf(true), { code: 'rng.unhealthy' });
  await assert.rejects(encryptPkcs8(pair.pkcs8, key), { code: 'rng.unhealthy' });
  await assert.rejects(signer.sign(new Uint8Array(1)), { code: 'rng.unhealthy' });
});
