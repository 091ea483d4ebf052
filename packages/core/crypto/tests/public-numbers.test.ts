import assert from 'node:assert/strict';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { test } from 'node:test';
import type { DerSpki } from '../../bytes/index.ts';
import { algorithmOfSpki, ecdsaSigValue, ecPoint, ecSpki, generateSoftwareKey, rsaSpki } from '../index.ts';

const CURVES = [
  ['P-256', 'sha256', 32],
  ['P-384', 'sha384', 48],
] as const;

test('a point and its SubjectPublicKeyInfo lead to one another, as OpenSSL writes them', () => {
  for (const [algorithm, , field] of CURVES) {
    const { spki } = generateSoftwareKey(algorithm);
    const point = ecPoint(algorithm, spki);
    assert.equal(point.length, 1 + 2 * field);
    assert.deepEqual(point, spki.slice(-point.length));
    assert.deepEqual(ecSpki(algorithm, point), spki);
    assert.equal(algorithmOfSpki(spki), algorithm);
  }
});

test('SP 800-56A r3 section 5.6.2.3.3: no point that is off its curve, too large, infinite or of another curve passes', () => {
  for (const [algorithm, , field] of CURVES) {
    const { spki } = generateSoftwareKey(algorithm);
    const point = ecPoint(algorithm, spki);
    const changed = (at: number, byte: number): Uint8Array => {
      const other = Uint8Array.from(point);
      other[at] = byte;
      return other;
    };
    const wrong = [
      changed(2 * field, (point[2 * field] ?? 0) ^ 1),
      Uint8Array.from(point).fill(0xff, 1),
      Uint8Array.from(point).fill(0, 1),
      Uint8Array.of(0),
      new Uint8Array(),
      changed(0, 2).slice(0, 1 + field),
      changed(0, 6),
    ];
    for (const octets of wrong) {
      assert.throws(() => ecSpki(algorithm, octets), { code: 'key.weak' });
      const der = Buffer.concat([spki.slice(0, -point.length), octets]) as Uint8Array as DerSpki;
      if (octets.length === point.length) assert.throws(() => ecPoint(algorithm, der), { code: 'key.weak' });
    }
    const other = algorithm === 'P-256' ? 'P-384' : 'P-256';
    assert.throws(() => ecPoint(other, spki), { code: 'key.algorithm-mismatch' });
    assert.throws(() => ecPoint(algorithm, generateSoftwareKey('Ed25519').spki), { code: 'key.algorithm-mismatch' });
    assert.throws(() => ecPoint(algorithm, new Uint8Array(20) as DerSpki), { code: 'key.weak' });
  }
});

test('modulus and exponent give the SubjectPublicKeyInfo that OpenSSL exports', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 3072 });
  const { n = '', e = '' } = publicKey.export({ format: 'jwk' });
  const spki = rsaSpki(Buffer.from(n, 'base64url'), Buffer.from(e, 'base64url'));
  assert.deepEqual(Buffer.from(spki), publicKey.export({ format: 'der', type: 'spki' }));
  assert.equal(algorithmOfSpki(spki), 'RSA-3072');
});

test('OpenSSL verifies r and s that were put together into an Ecdsa-Sig-Value', () => {
  for (const [algorithm, digest, field] of CURVES) {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: algorithm });
    // Often enough that a number with a high bit and one with a leading zero is among them.
    for (let n = 0; n < 120; n += 1) {
      const data = Buffer.from(String(n));
      const numbers = sign(digest, data, { key: privateKey, dsaEncoding: 'ieee-p1363' });
      const der = ecdsaSigValue(numbers.subarray(0, field), numbers.subarray(field));
      assert.ok(verify(digest, data, publicKey, der));
    }
  }
});
