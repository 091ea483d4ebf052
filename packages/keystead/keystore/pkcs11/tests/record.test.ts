import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClassicalKeyAlgorithm, generateSoftwareKey } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { requireKept } from '@keystead/pkcs11/evidence.ts';
import { spkiFromToken } from '@keystead/pkcs11/public-key.ts';
import { formatRecord, type KeyRecord, objectIdOf, parseRecord } from '@keystead/pkcs11/record.ts';
import fc from 'fast-check';
import { parseKeystoreConfig } from '../../config.ts';

/** What comes from a token is from outside: whatever it is, it is read right or refused by name. */
const record = fc.record(
  {
    version: fc.constant(1 as const),
    id: fc.stringMatching(/^[A-Za-z0-9._-]{1,64}$/),
    use: fc.constant('sign' as const),
    algorithm: fc.constantFrom<ClassicalKeyAlgorithm[]>('P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'),
    purpose: fc.string({ maxLength: 200, unit: 'grapheme-ascii' }),
    createdAt: fc
      .date({ min: new Date(0), max: new Date('2099-01-01'), noInvalidDate: true })
      .map((date) => date.toISOString()),
    sequence: fc.nat(),
  },
  { noNullPrototype: true },
);

test('a record reads back as it was written, under its own label and no other', () => {
  fc.assert(
    fc.property(record, (one) => {
      assert.deepEqual(parseRecord(one.id, formatRecord(one)), one);
      assert.throws(() => parseRecord(`${one.id}x`, formatRecord(one)), { code: 'keystore.damaged' });
    }),
  );
});

test('a record with any byte changed, cut or added is another record or refused, never half of one', () => {
  const bytes = fc.tuple(record, fc.nat(), fc.nat(255), fc.constantFrom('change', 'cut', 'add'));
  fc.assert(
    fc.property(bytes, ([one, at, byte, how]) => {
      const written = formatRecord(one);
      const index = at % written.length;
      const changed = Uint8Array.from(written);
      changed[index] = byte;
      const damaged = { change: changed, cut: written.slice(0, index), add: Uint8Array.of(...written, byte) }[how];
      readOrRefused(one.id, damaged);
    }),
  );
});

test('any bytes at all are refused as a record by name', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => readOrRefused('x', bytes)));
  fc.assert(fc.property(fc.json(), (text) => readOrRefused('x', Buffer.from(text))));
});

function readOrRefused(id: string, bytes: Uint8Array): void {
  try {
    const read: KeyRecord = parseRecord(id, bytes);
    assert.deepEqual(Buffer.from(formatRecord(read)), Buffer.from(bytes));
  } catch (error) {
    assert.ok(error instanceof KeysteadError && error.code === 'keystore.damaged', String(error));
  }
}

test('two ids have two CKA_IDs', () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => (a === b) === (Buffer.compare(objectIdOf(a), objectIdOf(b)) === 0)),
  );
});

test('a point is taken bare or in its OCTET STRING, and any other bytes are no key', () => {
  for (const algorithm of ['P-256', 'P-384', 'Ed25519'] as const) {
    const { spki, pkcs8 } = generateSoftwareKey(algorithm);
    pkcs8.wipe();
    const length = { 'P-256': 65, 'P-384': 97, Ed25519: 32 }[algorithm];
    const point = spki.slice(-length);
    assert.deepEqual(spkiFromToken(algorithm, { point }), spki);
    assert.deepEqual(spkiFromToken(algorithm, { point: Uint8Array.of(4, length, ...point) }), spki);
    for (const wrong of [
      point.slice(1),
      Uint8Array.of(3, length, ...point),
      Uint8Array.of(4, length - 1, ...point),
      new Uint8Array(),
    ]) {
      assert.throws(() => spkiFromToken(algorithm, { point: wrong }), { code: 'key.weak' });
    }
    assert.throws(() => spkiFromToken(algorithm, { modulus: point, exponent: point }), {
      code: 'key.algorithm-mismatch',
    });
    if (algorithm === 'Ed25519') continue;
    const off = Uint8Array.from(point);
    off[length - 1] = (off[length - 1] ?? 0) ^ 1;
    assert.throws(() => spkiFromToken(algorithm, { point: off }), { code: 'key.weak' });
    const tooLarge = Uint8Array.from(point).fill(0xff, 1);
    assert.throws(() => spkiFromToken(algorithm, { point: tooLarge }), { code: 'key.weak' });
  }
});

test('an RSA key of another size or exponent than was asked for is refused', () => {
  const modulus = new Uint8Array(384).fill(0xc5);
  const exponent = Uint8Array.of(1, 0, 1);
  assert.equal(spkiFromToken('RSA-3072', { modulus, exponent }).length > 384, true);
  assert.throws(() => spkiFromToken('RSA-4096', { modulus, exponent }), { code: 'key.algorithm-mismatch' });
  assert.throws(() => spkiFromToken('RSA-3072', { modulus, exponent: Uint8Array.of(3) }), { code: 'key.weak' });
  assert.throws(() => spkiFromToken('RSA-3072', { modulus: new Uint8Array(), exponent }));
});

test('evidence without the two attributes that prove it, or with any of them wrong, is none', () => {
  const kept = {
    CKA_TOKEN: true,
    CKA_PRIVATE: true,
    CKA_SENSITIVE: true,
    CKA_ALWAYS_SENSITIVE: true,
    CKA_EXTRACTABLE: false,
    CKA_NEVER_EXTRACTABLE: true,
    CKA_LOCAL: true,
  };
  requireKept('x', kept);
  requireKept('x', { CKA_SENSITIVE: true, CKA_EXTRACTABLE: false });
  for (const [name, value] of Object.entries(kept)) {
    assert.throws(() => requireKept('x', { ...kept, [name]: !value }), { code: 'keystore.key-exposed' }, name);
  }
  assert.throws(() => requireKept('x', { CKA_SENSITIVE: true }), { code: 'keystore.key-exposed' });
  assert.throws(() => requireKept('x', { CKA_EXTRACTABLE: false }), { code: 'keystore.key-exposed' });
});

test('a configuration of a keystore is read whole or refused by the field', () => {
  const token = { version: 1, make: 'pkcs11', module: '/m.so', token: { label: 'one' } };
  const config = parseKeystoreConfig(token);
  assert.equal(config.make === 'pkcs11' && config.sessions, 2);
  const wrong: [unknown, string][] = [
    [{ ...token, module: 'm.so' }, 'keystore module'],
    [{ ...token, token: {} }, 'keystore token'],
    [{ ...token, token: { label: 'one', serial: '1' } }, 'keystore token'],
    [{ ...token, token: { label: 'x'.repeat(33) } }, 'keystore token'],
    [{ ...token, sessions: 0 }, 'keystore sessions'],
    [{ ...token, quirks: { modifiable: 'yes' } }, 'keystore quirks.modifiable'],
    [{ ...token, pin: '1234' }, 'keystore'],
    [{ version: 1, make: 'paper' }, 'keystore make'],
    [undefined, 'keystore'],
  ];
  for (const [value, field] of wrong)
    assert.throws(() => parseKeystoreConfig(value), { code: 'config.malformed', field: new RegExp(`^${field}`) });
});
