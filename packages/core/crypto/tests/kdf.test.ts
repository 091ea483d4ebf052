import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hkdf, PurposeKeys, SecretBytes, sessionKeys } from '../index.ts';
import { hex, opensslKdf, secret, shown, wycheproof } from './support.ts';

const HASHES = ['sha256', 'sha384'] as const;

test('TEST-KEY-04: HKDF-SHA-256 gives the bytes of RFC 5869 appendix A.1 to A.3', () => {
  const cases = [
    {
      ikm: '0b'.repeat(22),
      salt: '000102030405060708090a0b0c',
      info: 'f0f1f2f3f4f5f6f7f8f9',
      okm: '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
    },
    {
      ikm: Buffer.from(Array.from({ length: 80 }, (_, i) => i)).toString('hex'),
      salt: Buffer.from(Array.from({ length: 80 }, (_, i) => 0x60 + i)).toString('hex'),
      info: Buffer.from(Array.from({ length: 80 }, (_, i) => 0xb0 + i)).toString('hex'),
      okm: 'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
    },
    {
      ikm: '0b'.repeat(22),
      salt: '',
      info: '',
      okm: '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8',
    },
  ];
  for (const { ikm, salt, info, okm } of cases) {
    assert.equal(shown(hkdf('sha256', secret(ikm), hex(salt), hex(info), okm.length / 2)), okm);
  }
});

for (const hash of HASHES) {
  test(`TEST-KEY-04: Wycheproof: HKDF with ${hash} gives every published key and refuses every invalid length`, () => {
    let cases = 0;
    for (const group of wycheproof(`hkdf_${hash}_test.json`)) {
      for (const { tcId, result, ikm, salt, info, size, okm } of group.tests) {
        const derive = (): SecretBytes => hkdf(hash, secret(ikm), hex(salt), hex(info), Number(size));
        if (result === 'valid') assert.equal(shown(derive()), okm, `case ${tcId}`);
        else assert.throws(derive, { code: 'kdf.length' }, `case ${tcId}`);
        cases += 1;
      }
    }
    assert.ok(cases > 80, `${cases} cases`);
  });

  test(`TEST-KEY-04: openssl kdf gives the same HKDF keys with ${hash}`, () => {
    for (const length of [1, 16, 32, 48, 100]) {
      const [ikm, salt] = [SecretBytes.random(40), SecretBytes.random(20)];
      const theirs = opensslKdf('HKDF', length, {
        digest: hash.toUpperCase(),
        hexkey: shown(ikm),
        hexsalt: shown(salt),
        info: 'keystead purpose',
      });
      const ours = salt.use((bytes) => hkdf(hash, ikm, bytes, 'keystead purpose', length));
      assert.equal(shown(ours), theirs);
    }
  });
}

test('TEST-KEY-04: a purpose is derived once; no derived key gets a second purpose', () => {
  using master = SecretBytes.random(32);
  using keys = new PurposeKeys(master, new Uint8Array(), 'test');
  const first = keys.derive('seal', 32);
  assert.throws(() => keys.derive('seal', 32), { code: 'kdf.purpose-reused' });
  assert.throws(() => keys.derive('seal', 16), { code: 'kdf.purpose-reused' });
  assert.notEqual(shown(keys.derive('authenticate', 32)), shown(first));
});

test('TEST-KEY-04: keys differ in every bit of what they are for: purpose, context, salt, hash, length', () => {
  using master = SecretBytes.random(32);
  const label = fc.stringMatching(/^[a-z0-9][a-z0-9 .-]{0,20}$/);
  const request = fc.record({
    purpose: label,
    context: fc.string({ maxLength: 20 }),
    salt: fc.constantFrom('', 'a', 'b'),
    hash: fc.constantFrom(...HASHES),
    length: fc.constantFrom(16, 32),
  });
  type Request = { purpose: string; context: string; salt: string; hash: 'sha256' | 'sha384'; length: number };
  const derive = ({ purpose, context, salt, hash, length }: Request): string =>
    shown(new PurposeKeys(master, Buffer.from(salt), context, hash).derive(purpose, length)).slice(0, 32);
  fc.assert(
    fc.property(request, request, (one, two) => {
      assert.equal(derive(one) === derive(two), JSON.stringify(one) === JSON.stringify(two));
    }),
  );
  // Moving a letter over the border between context and purpose is another key.
  const a = new PurposeKeys(master, new Uint8Array(), 'ab').derive('c', 32);
  const b = new PurposeKeys(master, new Uint8Array(), 'a').derive('bc', 32);
  assert.notEqual(shown(a), shown(b));
});

test('a purpose or context that is out of bounds is refused', () => {
  using master = SecretBytes.random(32);
  using keys = new PurposeKeys(master, new Uint8Array(), 'test');
  for (const purpose of ['', 'Seal', 'a\0b', ' a', 'x'.repeat(65)]) {
    assert.throws(() => keys.derive(purpose, 32), { code: 'kdf.purpose-malformed' });
  }
  assert.throws(() => new PurposeKeys(master, new Uint8Array(), 'x'.repeat(513)), { code: 'kdf.length' });
  assert.throws(() => hkdf('sha256', master, new Uint8Array(), 'x'.repeat(1025), 32), { code: 'kdf.length' });
  for (const length of [0, -1, 1.5, 8161]) {
    assert.throws(() => hkdf('sha256', master, new Uint8Array(), '', length), { code: 'kdf.length' });
  }
});

test('TEST-KEY-04: both ends of a session derive the same two keys, another session derives others', () => {
  using master = SecretBytes.random(32);
  using other = SecretBytes.random(32);
  const salt = Buffer.alloc(64, 1);
  const [device, service] = [sessionKeys(master, salt, 'pump-1 backend'), sessionKeys(master, salt, 'pump-1 backend')];
  assert.equal(shown(device.clientWrite), shown(service.clientWrite));
  assert.equal(shown(device.serverWrite), shown(service.serverWrite));
  const all = [
    device,
    sessionKeys(master, salt, 'pump-2 backend'),
    sessionKeys(master, Buffer.alloc(64, 2), 'pump-1 backend'),
    sessionKeys(other, salt, 'pump-1 backend'),
  ];
  const keys = all.flatMap(({ clientWrite, serverWrite }) => [shown(clientWrite), shown(serverWrite)]);
  assert.equal(new Set(keys).size, 8);
  device.wipe();
  assert.equal(device.clientWrite.wiped && device.serverWrite.wiped, true);
  assert.equal(master.wiped, false);
  assert.throws(() => sessionKeys(SecretBytes.random(31), salt, ''), RangeError);
});

test('TEST-KEY-04: openssl kdf gives the same session key from the info that the doc comment describes', () => {
  using master = SecretBytes.random(32);
  const [context, purpose] = ['pump-1', 'session client write'];
  const info = Buffer.concat([
    Buffer.from('keystead purpose 1\0'),
    Buffer.of(0, context.length),
    Buffer.from(context),
    Buffer.of(0, purpose.length),
    Buffer.from(purpose),
    Buffer.of(0, 0, 1, 0),
  ]);
  const theirs = opensslKdf('HKDF', 32, {
    digest: 'SHA256',
    hexkey: shown(master),
    hexsalt: '0102',
    hexinfo: info.toString('hex'),
  });
  assert.equal(shown(sessionKeys(master, Uint8Array.of(1, 2), context).clientWrite), theirs);
});
