import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { generateMlKemKey, mlKemDecapsulate, mlKemEncapsulate, mlKemPublicKey, SecretBytes } from '../index.ts';
import { hex, secret, shown, wycheproof } from './support.ts';

test('TEST-KEY-06: Wycheproof: ML-KEM-768 makes every key and opens every ciphertext, and refuses every wrong length', () => {
  const count = { valid: 0, invalid: 0, acceptable: 0 };
  for (const { tests } of wycheproof('mlkem_768_test.json')) {
    for (const { tcId, comment, result, seed, ek, c, K } of tests) {
      const name = `case ${tcId}: ${comment}`;
      const decapsulate = (): SecretBytes => mlKemDecapsulate(secret(seed), hex(c));
      count[result] += 1;
      if (result === 'valid') {
        assert.equal(Buffer.from(mlKemPublicKey(secret(seed))).toString('hex'), ek, name);
        assert.equal(shown(decapsulate()), K, name);
      } else {
        const code = comment.startsWith('Private key') ? 'kem.seed-malformed' : 'kem.ciphertext-invalid';
        assert.throws(decapsulate, { code }, name);
      }
    }
  }
  assert.deepEqual(count, { valid: 153, invalid: 40, acceptable: 0 });
});

test('TEST-KEY-06: ML-KEM-768: what was encapsulated for a key opens with its seed, to a fresh secret each time', () => {
  const { seed, publicKey } = generateMlKemKey();
  const secrets = Array.from({ length: 20 }, () => {
    const { sharedSecret, ciphertext } = mlKemEncapsulate(publicKey);
    assert.equal(shown(mlKemDecapsulate(seed, ciphertext)), shown(sharedSecret));
    return shown(sharedSecret);
  });
  assert.equal(new Set(secrets).size, 20);
  assert.equal(seed.length, 64);
});

test('TEST-KEY-06: FIPS 203 section 7.2: an encapsulation key of another length, or with a coefficient of q or more, is refused', () => {
  const { publicKey } = generateMlKemKey();
  for (const length of [0, 800, 1183, 1185, 1568]) {
    const refused = { code: 'kem.key-invalid', seen: `${length} bytes` };
    assert.throws(() => mlKemEncapsulate(new Uint8Array(length)), refused);
  }
  // 768 coefficients of 12 bits, two in three bytes, the lower bits first (FIPS 203 algorithm 5).
  const withCoefficient = (index: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(publicKey);
    const at = (index >> 1) * 3;
    if (index % 2 === 0) {
      bytes[at] = value & 0xff;
      bytes[at + 1] = ((bytes[at + 1] ?? 0) & 0xf0) | (value >> 8);
    } else {
      bytes[at + 1] = ((bytes[at + 1] ?? 0) & 0x0f) | ((value & 0x0f) << 4);
      bytes[at + 2] = value >> 4;
    }
    return bytes;
  };
  fc.assert(
    fc.property(fc.nat(767), fc.integer({ min: 3329, max: 4095 }), fc.nat(3328), (index, over, under) => {
      assert.throws(() => mlKemEncapsulate(withCoefficient(index, over)), { code: 'kem.key-invalid' });
      mlKemEncapsulate(withCoefficient(index, under)).sharedSecret.wipe();
    }),
  );
  for (const index of [0, 1, 766, 767]) {
    assert.throws(() => mlKemEncapsulate(withCoefficient(index, 3329)), { code: 'kem.key-invalid' });
    mlKemEncapsulate(withCoefficient(index, 3328)).sharedSecret.wipe();
  }
});

test('TEST-KEY-06: a ciphertext with any bit changed opens to another secret and to no error', () => {
  const { seed, publicKey } = generateMlKemKey();
  const { sharedSecret, ciphertext } = mlKemEncapsulate(publicKey);
  fc.assert(
    fc.property(fc.nat(ciphertext.length * 8 - 1), (bit) => {
      const changed = Uint8Array.from(ciphertext);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const [one, again] = [mlKemDecapsulate(seed, changed), mlKemDecapsulate(seed, changed)];
      assert.notEqual(shown(one), shown(sharedSecret));
      assert.equal(shown(one), shown(again));
    }),
  );
});

test('the seed stays with the caller', () => {
  using seed = SecretBytes.random(64);
  const before = shown(seed);
  mlKemDecapsulate(seed, mlKemEncapsulate(mlKemPublicKey(seed)).ciphertext).wipe();
  assert.equal(shown(seed), before);
});
