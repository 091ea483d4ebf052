import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { decryptPkcs8, encryptPkcs8, generateSoftwareKey, publicKeyOf } from '../index.ts';
import { inTemporaryDirectory, openssl, phrase, shown } from './support.ts';

const passphrase = phrase('correct horse');

test('openssl opens each encrypted key with the passphrase and finds the same key', async () => {
  await inTemporaryDirectory(async (dir) => {
    const file = join(dir, 'key.der');
    for (const algorithm of ['P-256', 'P-384', 'Ed25519', 'RSA-3072'] as const) {
      const { pkcs8 } = generateSoftwareKey(algorithm);
      writeFileSync(file, await encryptPkcs8(pkcs8, passphrase));
      const der = openssl(['pkcs8', '-inform', 'DER', '-in', file, '-passin', 'pass:correct horse', '-outform', 'DER']);
      // `openssl pkcs8` writes its own encoding of an EC key; the public half tells whether it is the same.
      writeFileSync(file, der);
      const theirs = openssl(['pkey', '-inform', 'DER', '-in', file, '-pubout', '-outform', 'DER']);
      assert.deepEqual(new Uint8Array(theirs), publicKeyOf(algorithm, pkcs8));
    }
  });
});

test('TEST-KEY-05: an encrypted key names PBKDF2-HMAC-SHA-256 with 600000 iterations, a salt of 128 bits and AES-256', async () => {
  const { pkcs8 } = generateSoftwareKey('P-256');
  const parsed = openssl(['asn1parse', '-inform', 'DER'], await encryptPkcs8(pkcs8, passphrase)).toString();
  assert.match(
    parsed,
    /OBJECT\s+:PBES2[\s\S]*OBJECT\s+:PBKDF2\n[^\n]*SEQUENCE[^\n]*\n[^\n]*l=\s*16 prim: OCTET STRING[\s\S]*INTEGER\s+:0927C0[\s\S]*:hmacWithSHA256[\s\S]*:aes-256-cbc/,
  );
});

test('a key encrypted by openssl opens here', async () => {
  await inTemporaryDirectory((dir) => {
    const plain = join(dir, 'plain.pem');
    for (const [options, algorithm] of [
      [['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], 'P-256'],
      [['ED25519'], 'Ed25519'],
      [['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], 'RSA-2048'],
    ] as const) {
      openssl(['genpkey', '-algorithm', ...options, '-out', plain]);
      const args = [
        '-topk8',
        '-v2',
        'aes-256-cbc',
        '-iter',
        '10000',
        '-passout',
        'pass:correct horse',
        '-outform',
        'DER',
      ];
      const der = openssl(['pkcs8', '-in', plain, ...args]);
      const opened = decryptPkcs8(der, passphrase);
      assert.equal(opened.algorithm, algorithm);
      const theirs = openssl(['pkey', '-in', plain, '-pubout', '-outform', 'DER']);
      assert.deepEqual(publicKeyOf(opened.algorithm, opened.pkcs8), new Uint8Array(theirs));
    }
  });
});

test('a wrong passphrase and damaged bytes open nothing, and the error says no more than that', async () => {
  const { pkcs8 } = generateSoftwareKey('P-256');
  const encrypted = await encryptPkcs8(pkcs8, passphrase);
  assert.throws(
    () => decryptPkcs8(encrypted, phrase('wrong horse')),
    (error: Error) => {
      assert.match(error.message, /encrypted private key/);
      assert.doesNotMatch(error.message + String(error.cause), /horse/);
      return 'code' in error && error.code === 'key.not-opened';
    },
  );
  assert.throws(() => decryptPkcs8(encrypted.subarray(0, -1), passphrase), { code: 'key.not-opened' });
  assert.equal(shown(decryptPkcs8(encrypted, passphrase).pkcs8), shown(pkcs8));
});

test('no bytes from outside make decryption throw anything but its own error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.throws(() => decryptPkcs8(bytes, passphrase), { code: 'key.not-opened' });
    }),
  );
});
