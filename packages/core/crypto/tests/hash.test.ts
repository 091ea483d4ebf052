import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  constantTimeEqual,
  hmacSha256,
  hmacSha256With,
  randomBytes,
  sha1Identifier,
  sha256,
  sha384,
  spkiSha256,
} from '../index.ts';
import { hex, openssl, secret } from './support.ts';

test('openssl gives the same hashes', () => {
  const data = randomBytes(1000);
  const digest = (name: string): Uint8Array => new Uint8Array(openssl(['dgst', `-${name}`, '-binary'], data));
  assert.deepEqual(sha256(data), digest('sha256'));
  assert.deepEqual(sha384(data), digest('sha384'));
  assert.deepEqual(sha1Identifier(data), digest('sha1'));
  assert.equal(spkiSha256(data), Buffer.from(digest('sha256')).toString('hex'));
});

test('HMAC-SHA-256 gives the bytes of RFC 4231 test cases 1 and 6', () => {
  const one = hmacSha256(secret('0b'.repeat(20)), Buffer.from('Hi There'));
  assert.deepEqual(one, hex('b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7'));
  const six = hmacSha256(
    secret('aa'.repeat(131)),
    Buffer.from('Test Using Larger Than Block-Size Key - Hash Key First'),
  );
  assert.deepEqual(six, hex('60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54'));
  const parts = hmacSha256With(secret('0b'.repeat(20)));
  for (let i = 0; i < 2; i += 1) assert.deepEqual(parts(Buffer.from('Hi '), Buffer.from('There')), one);
});

test('comparison sees length and content', () => {
  assert.equal(constantTimeEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), true);
  assert.equal(constantTimeEqual(Uint8Array.of(1, 2), Uint8Array.of(1, 3)), false);
  assert.equal(constantTimeEqual(Uint8Array.of(1, 2), Uint8Array.of(1)), false);
  assert.equal(constantTimeEqual(new Uint8Array(), new Uint8Array()), true);
});
