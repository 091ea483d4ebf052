import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { randomBytes } from '../random.ts';
import { SecretBytes } from '../secret.ts';
import { x963Kdf } from '../x963-kdf.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

test('the X9.63 derivation gives what openssl kdf gives, for each hash and length', () => {
  for (const [hash, length] of [
    ['sha256', 16],
    ['sha256', 32],
    ['sha384', 32],
    ['sha384', 100],
    ['sha512', 65],
  ] as const) {
    const z = randomBytes(32);
    const shared = randomBytes(20);
    const options = [`digest:${hash.toUpperCase()}`, `hexsecret:${hex(z)}`, `hexinfo:${hex(shared)}`];
    const args = [
      'kdf',
      '-keylen',
      String(length),
      ...options.flatMap((one) => ['-kdfopt', one]),
      '-binary',
      'X963KDF',
    ];
    const foreign = execFileSync('openssl', args);
    using own = x963Kdf(hash, SecretBytes.copy(z), shared, length);
    own.use((bytes) => assert.equal(hex(bytes), hex(foreign), `${hash} ${length}`));
  }
});

test('lengths and secrets that no agreement gives are refused', () => {
  const z = SecretBytes.random(32);
  assert.throws(() => x963Kdf('sha256', z, new Uint8Array(), 0), { code: 'kdf.length' });
  assert.throws(() => x963Kdf('sha256', SecretBytes.random(13), new Uint8Array(), 32), {
    code: 'kdf.master-too-short',
  });
});
