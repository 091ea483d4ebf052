import assert from 'node:assert/strict';
import nodeCrypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { after, before, mock, test } from 'node:test';
import {
  defaultPasswordKdf,
  EphemeralKey,
  fipsMode,
  generateAgreementKey,
  generateHybridKey,
  hybridDecapsulate,
  hybridEncapsulate,
  passwordKey,
  softwareAgreement,
} from '../index.ts';
import { phrase, shown } from './support.ts';

// In a file of its own: what OpenSSL says of its mode is put in its mouth for the whole process.
const kept = generateAgreementKey('X25519');
before(() => {
  mock.method(nodeCrypto, 'getFips', () => 1);
  syncBuiltinESMExports();
});
after(() => {
  mock.restoreAll();
  syncBuiltinESMExports();
});

test('TEST-KEY-05: in FIPS mode Argon2id is refused, with the rule named, and PBKDF2 is what a new passphrase gets', async () => {
  assert.equal(fipsMode(), true);
  await assert.rejects(passwordKey(defaultPasswordKdf(false), phrase('correct horse'), 32), {
    code: 'kdf.not-approved',
    message: /PBKDF2.*SP 800-132.*saw argon2id/,
  });
  const params = defaultPasswordKdf(fipsMode());
  assert.equal(params.kdf, 'pbkdf2-hmac-sha256');
  assert.equal((await passwordKey(params, phrase('correct horse'), 32)).length, 32);
});

test('TEST-KEY-06: in FIPS mode keys are agreed on NIST curves, not in X25519 alone', () => {
  const refused = { code: 'agreement.not-approved', message: /SP 800-56A r3 appendix D.*saw X25519/ };
  assert.throws(() => EphemeralKey.generate('X25519'), refused);
  assert.throws(() => generateAgreementKey('X25519'), refused);
  assert.throws(() => softwareAgreement('X25519', kept.pkcs8), refused);
  for (const group of ['P-256', 'P-384', 'P-521'] as const) {
    const [alice, bob] = [EphemeralKey.generate(group), EphemeralKey.generate(group)];
    assert.equal(shown(alice.agree(bob.spki)), shown(bob.agree(alice.spki)));
  }
});

test('TEST-KEY-06: in FIPS mode X25519 may be half of a hybrid, whose other half is ML-KEM', () => {
  const { seed, publicKey } = generateHybridKey('MLKEM768-X25519');
  const { sharedSecret, ciphertext } = hybridEncapsulate('MLKEM768-X25519', publicKey);
  assert.equal(shown(hybridDecapsulate('MLKEM768-X25519', seed, ciphertext)), shown(sharedSecret));
});
