import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../../bytes/index.ts';
import { DerError } from '../der/strict.ts';
import { bitString, integer, integerFromBytes, nullValue, oid, sequence } from '../der/writer.ts';
import { KEY_OIDS } from '../oids.ts';
import { bigIntOf, readSpki } from '../spki.ts';

/** As OpenSSL writes them, by way of Node.js. */
const exported = (pair: { publicKey: { export(as: { format: 'der'; type: 'spki' }): Buffer } }): Uint8Array =>
  new Uint8Array(pair.publicKey.export({ format: 'der', type: 'spki' }));
const KEYS: readonly (readonly [name: string, spki: Uint8Array, octets: number])[] = [
  ['P-256', exported(generateKeyPairSync('ec', { namedCurve: 'P-256' })), 65],
  ['P-384', exported(generateKeyPairSync('ec', { namedCurve: 'P-384' })), 97],
  ['Ed25519', exported(generateKeyPairSync('ed25519')), 32],
  ['RSA-2048', exported(generateKeyPairSync('rsa', { modulusLength: 2048 })), 270],
  ['ML-DSA-65', exported(generateKeyPairSync('ml-dsa-65')), 1952],
  ['ML-DSA-87', exported(generateKeyPairSync('ml-dsa-87')), 2592],
];

test('a key that OpenSSL made is taken apart into its algorithm and its bits', () => {
  for (const [name, spki, octets] of KEYS) {
    const parts = readSpki(spki);
    assert.deepEqual([parts.keyAlgorithm, parts.described, parts.keyBits.length], [name, name, octets]);
    assert.equal(toHex(parts.spki), toHex(spki));
  }
  const { rsa } = readSpki(KEYS[3]?.[1] ?? new Uint8Array());
  assert.ok(rsa !== undefined);
  assert.deepEqual([rsa.modulus.length, bigIntOf(rsa.exponent)], [256, 65_537n]);
});

test('what Keystead does not know is named and has no algorithm', () => {
  const point = new Uint8Array(65).fill(4);
  const keyOf = (algorithm: Uint8Array, bits: Uint8Array = point) => sequence(algorithm, bitString(bits));
  const rsaOf = (octets: number) => sequence(integerFromBytes(new Uint8Array(octets).fill(0xff)), integer(65_537));
  const rsa = (octets: number) => keyOf(sequence(oid(KEY_OIDS.rsaEncryption), nullValue()), rsaOf(octets));
  for (const [spki, described] of [
    [keyOf(sequence(oid(KEY_OIDS.ecPublicKey), oid('1.3.132.0.10'))), 'the curve 1.3.132.0.10'],
    [keyOf(sequence(oid(KEY_OIDS.ecPublicKey), sequence())), 'a curve without a name'],
    [keyOf(sequence(oid('1.2.3.4'))), 'the algorithm 1.2.3.4'],
    [rsa(128), 'RSA-1024'],
  ] as const) {
    const { keyAlgorithm, described: said } = readSpki(spki);
    assert.deepEqual([keyAlgorithm, said], [undefined, described]);
  }
});

test('each key has one encoding: another one of the same key is refused, so that no key counts twice', () => {
  const point = (first: number, length = 65) => Uint8Array.of(first, ...new Uint8Array(length - 1).fill(1));
  const p256 = sequence(oid(KEY_OIDS.ecPublicKey), oid(KEY_OIDS.prime256v1));
  const rsaEncryption = sequence(oid(KEY_OIDS.rsaEncryption), nullValue());
  const modulus = integerFromBytes(new Uint8Array(256).fill(0xff));
  const cases: Readonly<Record<string, Uint8Array>> = {
    'a compressed point': sequence(p256, bitString(point(2, 33))),
    'a hybrid point': sequence(p256, bitString(point(6))),
    'a point that is cut': sequence(p256, bitString(point(4, 64))),
    'Ed25519 with parameters': sequence(sequence(oid(KEY_OIDS.Ed25519), nullValue()), bitString(new Uint8Array(32))),
    'Ed25519 of 31 octets': sequence(sequence(oid(KEY_OIDS.Ed25519)), bitString(new Uint8Array(31))),
    'RSA without NULL': sequence(sequence(oid(KEY_OIDS.rsaEncryption)), bitString(sequence(modulus, integer(3)))),
    'RSA with a third number': sequence(rsaEncryption, bitString(sequence(modulus, integer(3), integer(5)))),
    'RSA with exponent zero': sequence(rsaEncryption, bitString(sequence(modulus, integer(0)))),
    'RSA with a negative modulus': sequence(rsaEncryption, bitString(sequence(Uint8Array.of(2, 1, 0x80), integer(3)))),
    'three members': sequence(sequence(oid(KEY_OIDS.Ed25519)), bitString(new Uint8Array(32)), nullValue()),
    'no members': sequence(),
  };
  for (const [what, spki] of Object.entries(cases)) assert.throws(() => readSpki(spki), DerError, what);
  for (const [name, spki] of KEYS) {
    assert.throws(() => readSpki(Uint8Array.of(...spki, 0)), DerError, `${name} with an octet behind it`);
    assert.throws(() => readSpki(spki.subarray(0, -1)), DerError, `${name} without its last octet`);
  }
});

test('no bytes make the reader throw anything but its own error', () => {
  const known = fc.constantFrom(...KEYS.map(([, spki]) => spki));
  const changed = fc.tuple(known, fc.nat(), fc.nat(255)).map(([spki, at, value]) => {
    const bytes = Uint8Array.from(spki);
    bytes[at % bytes.length] = value;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 400 }), changed), (bytes) => {
      try {
        readSpki(bytes);
      } catch (error) {
        assert.ok(error instanceof DerError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
