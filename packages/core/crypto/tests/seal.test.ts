import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { openBytes, SecretBytes, sealBytes } from '../index.ts';
import { hex, secret, shown } from './support.ts';

const key = SecretBytes.random(32);
const aad = Buffer.from('for this use');

test('AES-256-GCM: opens test case 16 of the GCM submission (McGrew and Viega, appendix B)', () => {
  const sealed = hex(
    'cafebabefacedbaddecaf888' +
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
      '76fc6ece0f4e1768cddf8853bb2d551b',
  );
  const gcmKey = secret('feffe9928665731c6d6a8f9467308308'.repeat(2));
  const opened = openBytes(gcmKey, sealed, hex('feedfacedeadbeeffeedfacedeadbeefabaddad2'));
  assert.equal(
    shown(opened),
    'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
  );
});

test('what was sealed opens again, whatever it is', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (plaintext, bound) => {
      const opened = openBytes(key, sealBytes(key, plaintext, bound), bound);
      assert.equal(shown(opened), Buffer.from(plaintext).toString('hex'));
    }),
  );
});

test('each flipped bit is noticed', () => {
  const sealed = sealBytes(key, Buffer.from('a secret of a device'), aad);
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const flipped = Uint8Array.from(sealed);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(() => openBytes(key, flipped, aad), { code: 'seal.damaged' });
  }
});

test('each truncation, another key and another use are noticed', () => {
  const sealed = sealBytes(key, Buffer.from('a secret'), aad);
  for (let length = 0; length < sealed.length; length += 1) {
    assert.throws(() => openBytes(key, sealed.subarray(0, length), aad), { code: 'seal.damaged' });
  }
  assert.throws(() => openBytes(SecretBytes.random(32), sealed, aad), { code: 'seal.damaged' });
  assert.throws(() => openBytes(key, sealed, Buffer.from('for that use')), { code: 'seal.damaged' });
});

test('the same plaintext never seals to the same bytes', () => {
  const seals = Array.from({ length: 100 }, () =>
    Buffer.from(sealBytes(key, aad, aad))
      .toString('hex')
      .slice(0, 24),
  );
  assert.equal(new Set(seals).size, 100);
});

test('a key of another length is refused', () => {
  assert.throws(() => sealBytes(SecretBytes.random(16), aad, aad), RangeError);
  assert.throws(() => openBytes(SecretBytes.random(16), new Uint8Array(40), aad), RangeError);
});
