import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromBase64 } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { MAX_CSR_ATTRIBUTES_BYTES, wantedKeyAlgorithm } from '../csr-attributes.ts';
import { integer, oid, sequence, setOf } from '../der/writer.ts';
import { KEY_OIDS } from '../oids.ts';

const attribute = (type: string, ...values: Uint8Array[]): Uint8Array => sequence(oid(type), setOf(...values));

test('the example of RFC 7030 section 4.5.2 asks for a key on P-384', () => {
  const example = 'MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw==';
  assert.equal(wantedKeyAlgorithm(fromBase64(example)), 'P-384');
});

test('the first kind of key that is named is the one: by its curve, its bits, or its name alone', () => {
  const ec = attribute(KEY_OIDS.ecPublicKey, oid(KEY_OIDS.prime256v1));
  assert.equal(wantedKeyAlgorithm(sequence(ec, oid(KEY_OIDS['ML-DSA-65']))), 'P-256');
  assert.equal(wantedKeyAlgorithm(sequence(oid('1.2.3'), oid(KEY_OIDS['ML-DSA-65']), ec)), 'ML-DSA-65');
  assert.equal(wantedKeyAlgorithm(sequence(oid(KEY_OIDS.Ed25519))), 'Ed25519');
  assert.equal(wantedKeyAlgorithm(sequence(attribute(KEY_OIDS.rsaEncryption, integer(3072)))), 'RSA-3072');
  assert.equal(wantedKeyAlgorithm(sequence(attribute(KEY_OIDS.rsaEncryption, integer(1024)))), undefined);
  assert.equal(wantedKeyAlgorithm(sequence(attribute(KEY_OIDS.ecPublicKey, oid('1.3.132.0.10')))), undefined);
  assert.equal(wantedKeyAlgorithm(sequence()), undefined);
});

test('whatever a server sends is read or refused by name', () => {
  const tried = (der: Uint8Array): void => {
    try {
      wantedKeyAlgorithm(der);
    } catch (error) {
      assert.ok(error instanceof KeysteadError && error.code === 'csr.attributes-malformed', String(error));
    }
  };
  const good = sequence(oid(KEY_OIDS['ML-DSA-65']), attribute(KEY_OIDS.ecPublicKey, oid(KEY_OIDS.prime256v1)));
  for (let cut = 0; cut < good.length; cut += 1) {
    assert.throws(() => wantedKeyAlgorithm(good.subarray(0, cut)), { code: 'csr.attributes-malformed' });
  }
  assert.throws(() => wantedKeyAlgorithm(new Uint8Array(MAX_CSR_ATTRIBUTES_BYTES + 1)), {
    code: 'csr.attributes-malformed',
  });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), tried));
  const flipped = fc.tuple(fc.nat({ max: good.length - 1 }), fc.integer({ min: 1, max: 255 }));
  fc.assert(fc.property(flipped, ([at, by]) => tried(good.map((octet, index) => (index === at ? octet ^ by : octet)))));
});
