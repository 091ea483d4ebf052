import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DerSpki } from '../../bytes/index.ts';
import {
  algorithmOfSpki,
  generateSoftwareKey,
  POST_QUANTUM_ALGORITHMS,
  SIGNATURE_OF,
  softwareSigner,
  verifyPeerSignature,
  verifySignature,
} from '../index.ts';
import { hex, wycheproof } from './support.ts';

const MESSAGE = Buffer.from('keystead');

test('Wycheproof: every verdict on ML-DSA-65 signatures without a context is the published one', () => {
  let cases = 0;
  for (const { publicKeyDer, tests } of wycheproof('mldsa_65_verify_test.json')) {
    const spki = hex(publicKeyDer) as DerSpki;
    for (const { tcId, comment, result, msg, sig, ctx } of tests) {
      // Signatures here have no context, which makes those with one no signatures of ours.
      const verdict = verifySignature('ML-DSA-65', spki, hex(msg), hex(sig));
      const expected = result === 'valid' && (ctx === undefined || ctx === '');
      assert.equal(verdict, expected, `${tcId}: ${comment}`);
      cases += 1;
    }
  }
  assert.ok(cases > 200, `${cases} cases`);
});

test('a key of each algorithm signs for itself alone, and its signatures are hedged', async () => {
  const kinds = [
    ['ML-DSA-65', 3309, '2.16.840.1.101.3.4.3.18', 'ML-DSA-87'],
    ['ML-DSA-87', 4627, '2.16.840.1.101.3.4.3.19', 'ML-DSA-65'],
  ] as const;
  for (const [algorithm, octets, oid, other] of kinds) {
    const { pkcs8, spki } = generateSoftwareKey(algorithm);
    assert.equal(algorithmOfSpki(spki), algorithm);
    const signer = softwareSigner(algorithm, pkcs8);
    const signature = await signer.sign(MESSAGE);
    // FIPS 204 table 2.
    assert.equal(signature.length, octets);
    assert.notDeepEqual(signature, await signer.sign(MESSAGE));
    assert.equal(verifySignature(algorithm, spki, MESSAGE, signature), true);
    assert.deepEqual(verifyPeerSignature({ oid }, spki, MESSAGE, signature), { verdict: 'valid' });
    assert.equal(verifySignature(algorithm, spki, Buffer.from('keystone'), signature), false);
    assert.equal(verifySignature(algorithm, generateSoftwareKey(algorithm).spki, MESSAGE, signature), false);
    assert.equal(verifySignature(other, spki, MESSAGE, signature), false);
    assert.equal(verifySignature('Ed25519', spki, MESSAGE, signature), false);
  }
});

test('SLH-DSA signs with hashes alone', async () => {
  const { pkcs8, spki } = generateSoftwareKey('SLH-DSA-SHA2-128s');
  assert.equal(algorithmOfSpki(spki), 'SLH-DSA-SHA2-128s');
  const signature = await softwareSigner('SLH-DSA-SHA2-128s', pkcs8).sign(MESSAGE);
  // FIPS 205 table 2.
  assert.equal(signature.length, 7856);
  assert.equal(verifySignature('SLH-DSA-SHA2-128s', spki, MESSAGE, signature), true);
  signature[4000] = (signature[4000] ?? 0) ^ 1;
  assert.equal(verifySignature('SLH-DSA-SHA2-128s', spki, MESSAGE, signature), false);
});

test('a key against quantum computers and its signature have one name', () => {
  for (const algorithm of POST_QUANTUM_ALGORITHMS) assert.equal(SIGNATURE_OF[algorithm], algorithm);
});
