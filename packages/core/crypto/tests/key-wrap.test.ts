import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KeysteadError } from '../../errors/index.ts';
import { SecretBytes, unwrapKey, type WrapMode, wrapKey } from '../index.ts';
import { hex, openssl, secret, shown, wycheproof } from './support.ts';

const VECTORS: readonly (readonly [WrapMode, string, number])[] = [
  ['AES-KW', 'aes_wrap_test.json', 165],
  ['AES-KWP', 'aes_kwp_test.json', 254],
];

for (const [mode, file, count] of VECTORS) {
  test(`Wycheproof: ${mode} wraps and unwraps every valid key and refuses every other`, () => {
    let cases = 0;
    for (const group of wycheproof(file)) {
      for (const { tcId, result, comment, key, msg, ct } of group.tests) {
        const name = `case ${tcId}: ${comment}`;
        const kek = secret(key);
        if (result === 'valid') {
          assert.equal(Buffer.from(wrapKey(mode, kek, secret(msg))).toString('hex'), ct, name);
          assert.equal(shown(unwrapKey(mode, kek, hex(ct))), msg, name);
        } else {
          // 'Acceptable' are keys of one semiblock, which SP 800-38F section 5.3.1 leaves out.
          assert.throws(() => unwrapKey(mode, kek, hex(ct)), { code: 'wrap.damaged' }, name);
        }
        cases += 1;
      }
    }
    assert.equal(cases, count);
  });
}

test('openssl unwraps what AES-KW wrapped, and the other way round', () => {
  const [kek, key] = [SecretBytes.random(32), SecretBytes.random(32)];
  const options = ['-id-aes256-wrap', '-K', shown(kek), '-iv', 'a6a6a6a6a6a6a6a6'];
  const wrapped = wrapKey('AES-KW', kek, key);
  assert.equal(openssl(['enc', '-d', ...options], wrapped).toString('hex'), shown(key));
  const theirs = openssl(['enc', '-e', ...options], Buffer.from(shown(key), 'hex'));
  assert.equal(theirs.toString('hex'), Buffer.from(wrapped).toString('hex'));
});

test('a damaged or truncated wrapped key, another wrapping key and the other mode all say the same and no more', () => {
  const kek = SecretBytes.random(32);
  for (const mode of ['AES-KW', 'AES-KWP'] as const) {
    const wrapped = wrapKey(mode, kek, SecretBytes.random(24));
    const messages = new Set<string>();
    const refused = (bytes: Uint8Array, by: SecretBytes = kek, how: WrapMode = mode): void => {
      assert.throws(
        () => unwrapKey(how, by, bytes),
        (error) => {
          assert.ok(error instanceof KeysteadError);
          assert.equal(error.cause, undefined);
          messages.add(JSON.stringify(error));
          return error.code === 'wrap.damaged';
        },
      );
    };
    for (let bit = 0; bit < wrapped.length * 8; bit += 1) {
      const flipped = Uint8Array.from(wrapped);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      refused(flipped);
    }
    for (let length = 0; length < wrapped.length; length += 1) refused(wrapped.subarray(0, length));
    refused(Buffer.concat([wrapped, Buffer.alloc(8)]));
    refused(wrapped, SecretBytes.random(32));
    refused(wrapped, kek, mode === 'AES-KW' ? 'AES-KWP' : 'AES-KW');
    assert.equal(messages.size, 1);
  }
});

test('whatever bytes come, unwrapping gives a key or wrap.damaged', () => {
  const kek = SecretBytes.random(16);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), fc.constantFrom<WrapMode>('AES-KW', 'AES-KWP'), (bytes, mode) => {
      assert.throws(() => unwrapKey(mode, kek, bytes), { code: 'wrap.damaged' });
    }),
  );
});

test('AES-KWP wraps a key of any length, AES-KW one of whole blocks, and what they do not wrap is refused by name', () => {
  const kek = SecretBytes.random(32);
  for (let length = 1; length < 70; length += 1) {
    const key = SecretBytes.random(length);
    const wrapped = wrapKey('AES-KWP', kek, key);
    assert.equal(wrapped.length, Math.ceil(length / 8) * 8 + 8);
    assert.equal(shown(unwrapKey('AES-KWP', kek, wrapped)), shown(key));
    const kw = (): Uint8Array => wrapKey('AES-KW', kek, key);
    if (length % 8 === 0 && length >= 16) assert.equal(shown(unwrapKey('AES-KW', kek, kw())), shown(key));
    else assert.throws(kw, { code: 'wrap.length', field: 'AES-KW', seen: `${length} bytes` });
  }
  assert.throws(() => wrapKey('AES-KWP', kek, secret('')), { code: 'wrap.length', field: 'AES-KWP' });
});

test('a wrapping key of another length is refused', () => {
  for (const length of [0, 8, 15, 33, 64]) {
    const kek = SecretBytes.random(length);
    assert.throws(() => wrapKey('AES-KW', kek, SecretBytes.random(32)), RangeError);
    assert.throws(() => unwrapKey('AES-KWP', kek, new Uint8Array(40)), RangeError);
  }
});
