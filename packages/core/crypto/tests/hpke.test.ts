import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import {
  ageRecipientOf,
  generateSoftwareKey,
  hpkeKeys,
  hpkeOpen,
  p256Point,
  p256Spki,
  parseAgeRecipient,
  SecretBytes,
  softwareAgreement,
} from '../index.ts';

/** RFC 9180 appendix A.5.1: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305, base mode. */
const VECTOR = {
  info: '4f6465206f6e2061204772656369616e2055726e',
  enc: '04c07836a0206e04e31d8ae99bfd549380b072a1b1b82e563c935c095827824fc1559eac6fb9e3c70cd3193968994e7fe9781aa103f5b50e934b5b2f387e381291',
  skRm: 'a4d1c55836aa30f9b3fbb6ac98d338c877c2867dd3a77396d13f68d3ab150d3b',
  pkRm: '04a697bffde9405c992883c5c439d6cc358170b51af72812333b015621dc0f40bad9bb726f68a5c013806a790ec716ab8669f84f6b694596c2987cf35baba2a006',
  key: 'a8f45490a92a3b04d1dbf6cf2c3939ad8bfc9bfcb97c04bffe116730c9dfe3fc',
  baseNonce: '726b4390ed2209809f58c693',
};

/** PKCS#8 (RFC 5958) around an EC private key (RFC 5915) on P-256 with its public point. */
const pkcs8 = (scalar: string, point: string): SecretBytes =>
  SecretBytes.take(
    fromHex(`308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420${scalar}a144034200${point}`),
  );

test('the key and the nonce of RFC 9180 appendix A.5.1 come out', async () => {
  const agreement = softwareAgreement('P-256', pkcs8(VECTOR.skRm, VECTOR.pkRm));
  assert.equal(toHex(p256Point(agreement.spki)), VECTOR.pkRm);
  const dh = agreement.agree(p256Spki(fromHex(VECTOR.enc)));
  const { key, nonce } = hpkeKeys({
    dh,
    enc: fromHex(VECTOR.enc),
    recipient: fromHex(VECTOR.pkRm),
    info: fromHex(VECTOR.info),
  });
  assert.equal(key.use(toHex), VECTOR.key);
  assert.equal(toHex(nonce), VECTOR.baseNonce);
});

test('a message that is too short or altered is refused', () => {
  const parts = {
    dh: SecretBytes.random(32),
    enc: fromHex(VECTOR.enc),
    recipient: fromHex(VECTOR.pkRm),
    info: new Uint8Array(),
  };
  for (const length of [0, 15, 16, 32]) {
    assert.throws(() => hpkeOpen(parts, new Uint8Array(length)), { code: 'seal.damaged' });
  }
});

test('a peer off the curve, at infinity or on another curve is refused', async () => {
  const { pkcs8: own } = generateSoftwareKey('P-256');
  const agreement = softwareAgreement('P-256', own);
  const point = fromHex(VECTOR.pkRm);
  point[64] = (point[64] ?? 0) ^ 1;
  assert.throws(() => p256Spki(point), { code: 'key.weak' });
  assert.throws(() => p256Spki(Uint8Array.of(0)), { code: 'key.weak' });
  assert.throws(() => agreement.agree(generateSoftwareKey('P-384').spki), { code: 'agreement.key-invalid' });
  const spki = Uint8Array.from(generateSoftwareKey('P-256').spki);
  spki[spki.length - 1] = (spki[spki.length - 1] ?? 0) ^ 1;
  assert.throws(() => agreement.agree(spki as typeof agreement.spki), { code: 'agreement.key-invalid' });
});

test('a recipient of a P-256 key reads back as that key', () => {
  const { spki } = generateSoftwareKey('P-256');
  const parsed = parseAgeRecipient(ageRecipientOf(spki));
  assert.equal(parsed.kind, 'P-256');
  assert.deepEqual(parsed.kind === 'P-256' && parsed.point, p256Point(spki));
  assert.throws(() => ageRecipientOf(generateSoftwareKey('P-384').spki), { code: 'key.algorithm-mismatch' });
});

test('a recipient with any other character is refused, and so is every text that is none', () => {
  const good = ageRecipientOf(generateSoftwareKey('P-256').spki);
  const refused = (text: string): boolean => {
    try {
      parseAgeRecipient(text);
      return false;
    } catch (error) {
      return error instanceof KeysteadError && error.code === 'backup.recipient-malformed';
    }
  };
  for (let at = 0; at < good.length; at += 1) {
    const other = good[at] === 'q' ? 'p' : 'q';
    assert.ok(refused(good.slice(0, at) + other + good.slice(at + 1)), `character ${at}`);
  }
  assert.ok(refused(good.toUpperCase()));
  assert.ok(refused(`${good} `));
  fc.assert(fc.property(fc.string({ maxLength: 120 }), refused));
});
