import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { DerSpki } from '../../bytes/index.ts';
import { toPem } from '../../bytes/index.ts';
import {
  DIGEST_OF,
  generateSoftwareKey,
  publicKeyOf,
  randomBytes,
  SecretBytes,
  type SignatureAlgorithm,
  signBy,
  softwareSigner,
  verifySignature,
} from '../index.ts';
import { hex, inTemporaryDirectory, openssl, wycheproof } from './support.ts';

const ALGORITHMS = ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'] as const;
const DIGEST = { 'P-256': 'sha256', 'P-384': 'sha384', 'RSA-3072': 'sha256', 'RSA-4096': 'sha384' } as const;
const keys = new Map(ALGORITHMS.map((algorithm) => [algorithm, generateSoftwareKey(algorithm)]));
function keyOf(algorithm: (typeof ALGORITHMS)[number]): { pkcs8: SecretBytes; spki: DerSpki } {
  const key = keys.get(algorithm);
  assert.ok(key);
  return key;
}

const VECTORS: [string, SignatureAlgorithm][] = [
  ['ecdsa_secp256r1_sha256_test.json', 'ecdsa-with-SHA256'],
  ['ecdsa_secp384r1_sha384_test.json', 'ecdsa-with-SHA384'],
  ['ed25519_test.json', 'Ed25519'],
];

for (const [file, algorithm] of VECTORS) {
  test(`Wycheproof: every verdict on ${algorithm} signatures is the published one`, () => {
    let cases = 0;
    for (const group of wycheproof(file)) {
      const spki = hex(group.publicKeyDer) as DerSpki;
      for (const { tcId, comment, result, msg, sig } of group.tests) {
        const verdict = verifySignature(algorithm, spki, hex(msg), hex(sig));
        assert.equal(verdict, result === 'valid', `${file} ${tcId}: ${comment}`);
        cases += 1;
      }
    }
    assert.ok(cases > 100, `${cases} cases`);
  });
}

test('openssl verifies the signatures that our signers make', async () => {
  await inTemporaryDirectory(async (dir) => {
    const [message, signature, publicKey] = ['message', 'signature', 'public.pem'].map((name) => join(dir, name)) as [
      string,
      string,
      string,
    ];
    for (const algorithm of ALGORITHMS) {
      const signer = softwareSigner(algorithm, keyOf(algorithm).pkcs8);
      const data = randomBytes(100);
      writeFileSync(message, data);
      writeFileSync(signature, await signer.sign(data));
      writeFileSync(publicKey, toPem('PUBLIC KEY', signer.spki));
      const digest = algorithm === 'Ed25519' ? [] : ['-digest', DIGEST[algorithm]];
      const args = [
        'pkeyutl',
        '-verify',
        '-pubin',
        '-inkey',
        publicKey,
        '-rawin',
        ...digest,
        '-in',
        message,
        '-sigfile',
        signature,
      ];
      assert.match(openssl(args).toString(), /Verified Successfully/, algorithm);
    }
  });
});

test('signatures made by openssl verify here', async () => {
  await inTemporaryDirectory((dir) => {
    for (const [kind, options, digest, algorithm] of [
      ['EC', ['ec_paramgen_curve:P-256'], 'sha256', 'ecdsa-with-SHA256'],
      ['EC', ['ec_paramgen_curve:P-384'], 'sha384', 'ecdsa-with-SHA384'],
      ['RSA', ['rsa_keygen_bits:2048'], 'sha256', 'sha256WithRSAEncryption'],
    ] as const) {
      const file = join(dir, 'key.pem');
      openssl(['genpkey', '-algorithm', kind, ...options.flatMap((option) => ['-pkeyopt', option]), '-out', file]);
      const spki = new Uint8Array(openssl(['pkey', '-in', file, '-pubout', '-outform', 'DER'])) as DerSpki;
      const data = randomBytes(50);
      const signature = openssl(['dgst', `-${digest}`, '-sign', file], data);
      assert.equal(verifySignature(algorithm, spki, data, signature), true);
      assert.equal(verifySignature(algorithm, spki, randomBytes(50), signature), false);
    }
  });
});

test('a key signs by every scheme of its family, openssl verifies each by its own salt and hash, and no scheme is taken for another', async () => {
  const RSA = ['sha256WithRSAEncryption', 'sha384WithRSAEncryption', 'RSASSA-PSS-SHA256', 'RSASSA-PSS-SHA384'] as const;
  const signer = softwareSigner('RSA-3072', keyOf('RSA-3072').pkcs8);
  const schemes = [...RSA, 'RSASSA-PSS-SHA256-longest', 'RSASSA-PSS-SHA384-longest'] as const;
  const salts = ['', '', '32', '48', '350', '334'];
  const data = randomBytes(100);
  const made = await Promise.all(schemes.map((scheme) => signBy(signer, scheme, data)));
  await inTemporaryDirectory(async (dir) => {
    const [message, signature, key] = ['message', 'signature', 'key'].map((name) => join(dir, name));
    assert.ok(message && signature && key);
    writeFileSync(message, data);
    writeFileSync(key, toPem('PUBLIC KEY', signer.spki));
    schemes.forEach((scheme, at) => {
      writeFileSync(signature, made[at] ?? '');
      const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', `rsa_pss_saltlen:${salts[at]}`];
      const how = [`-${DIGEST_OF[scheme]}`, ...(salts[at] === '' ? [] : pss), '-verify', key, '-signature', signature];
      assert.match(openssl(['dgst', ...how, message]).toString(), /Verified OK/, scheme);
      for (const [other, bytes] of made.entries())
        assert.equal(verifySignature(scheme, signer.spki, data, bytes), other === at, `${scheme} of ${schemes[other]}`);
    });
  });
  await assert.rejects(signBy(signer, 'ecdsa-with-SHA256', data), { code: 'key.algorithm-mismatch' });
  const { signBy: _signBy, ...kept } = signer;
  await assert.rejects(signBy(kept, 'RSASSA-PSS-SHA256', data), { code: 'keystore.mechanism-unsupported' });
  assert.equal(verifySignature('RSASSA-PSS-SHA256', keyOf('P-256').spki, data, made[2] ?? data), false);
});

test('a generated key is a sound PKCS#8 key to openssl, with the public half that we say', async () => {
  await inTemporaryDirectory((dir) => {
    const file = join(dir, 'key.der');
    for (const algorithm of ALGORITHMS) {
      const { pkcs8, spki } = keyOf(algorithm);
      pkcs8.use((der) => writeFileSync(file, der));
      // `-check` knows no Ed25519 key.
      const check = algorithm === 'Ed25519' ? [] : ['-check'];
      assert.match(
        openssl(['pkey', '-inform', 'DER', '-in', file, '-noout', '-text', ...check]).toString(),
        /Private-Key/,
      );
      const publicHalf = openssl(['pkey', '-inform', 'DER', '-in', file, '-pubout', '-outform', 'DER']);
      assert.deepEqual(new Uint8Array(publicHalf), spki);
      assert.deepEqual(publicKeyOf(algorithm, pkcs8), spki);
    }
  });
});

test('a signature does not verify under another key, another family or another algorithm', async () => {
  const data = randomBytes(32);
  for (const algorithm of ALGORITHMS) {
    const signer = softwareSigner(algorithm, keyOf(algorithm).pkcs8);
    const signature = await signer.sign(data);
    assert.equal(verifySignature(signer.signatureAlgorithm, signer.spki, data, signature), true);
    for (const other of ALGORITHMS) {
      if (other === algorithm) continue;
      assert.equal(verifySignature(signer.signatureAlgorithm, keyOf(other).spki, data, signature), false);
    }
    signature[signature.length - 1] = (signature.at(-1) ?? 0) ^ 1;
    assert.equal(verifySignature(signer.signatureAlgorithm, signer.spki, data, signature), false);
  }
});

test('a key under the name of another algorithm is refused', () => {
  assert.throws(() => softwareSigner('P-384', keyOf('P-256').pkcs8), { code: 'key.algorithm-mismatch' });
  assert.throws(() => softwareSigner('RSA-4096', keyOf('RSA-3072').pkcs8), { code: 'key.algorithm-mismatch' });
});

test('no bytes from outside make verification or key import throw anything but its own error', () => {
  const algorithm = fc.constantFrom<SignatureAlgorithm>(
    'ecdsa-with-SHA256',
    'ecdsa-with-SHA384',
    'Ed25519',
    'sha256WithRSAEncryption',
  );
  const good = keyOf('P-256');
  const mutated = (base: Uint8Array): fc.Arbitrary<Uint8Array> =>
    fc.tuple(fc.nat(base.length - 1), fc.integer({ min: 1, max: 255 }), fc.nat(base.length)).map(([at, flip, end]) => {
      const bytes = Uint8Array.from(base);
      bytes[at] = (bytes[at] ?? 0) ^ flip;
      return bytes.subarray(0, end);
    });
  const spki = fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated(good.spki));
  fc.assert(
    fc.property(algorithm, spki, fc.uint8Array(), fc.uint8Array({ maxLength: 200 }), (name, key, data, signature) => {
      assert.equal(verifySignature(name, key as DerSpki, data, signature), false);
    }),
  );
  const der = good.pkcs8.use((bytes) => Uint8Array.from(bytes));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated(der)), (pkcs8) => {
      try {
        softwareSigner('P-256', SecretBytes.copy(pkcs8));
      } catch (error) {
        assert.match(String(error), /KeysteadError/);
      }
    }),
  );
});
