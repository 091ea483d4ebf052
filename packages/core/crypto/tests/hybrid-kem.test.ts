import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { combine, p256Scalar } from '../hybrid-kem.ts';
import {
  generateHybridKey,
  type HybridKem,
  hybridDecapsulate,
  hybridEncapsulate,
  hybridPublicKey,
  SecretBytes,
} from '../index.ts';
import { hex, secret, shown } from './support.ts';

const KEMS = ['MLKEM768-X25519', 'MLKEM768-P256'] as const;
const LENGTHS = {
  'MLKEM768-X25519': { publicKey: 1216, ciphertext: 1120 },
  'MLKEM768-P256': { publicKey: 1249, ciphertext: 1153 },
} as const;
const MLKEM_CIPHERTEXT = 1088;
const MLKEM_KEY = 1184;

interface Vector {
  readonly seed: string;
  readonly ss: string;
  readonly pk: string;
  readonly ct: string;
}

function vectors(kem: HybridKem): readonly Vector[] {
  const url = new URL(`../../../../vectors/hybrid-kem/${kem}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as Vector[];
}

for (const kem of KEMS) {
  test(`TEST-KEY-06: ${kem} gives the public keys and shared secrets of its draft`, () => {
    const published = vectors(kem);
    for (const { seed, pk, ct, ss } of published) {
      assert.equal(Buffer.from(hybridPublicKey(kem, secret(seed))).toString('hex'), pk);
      assert.equal(shown(hybridDecapsulate(kem, secret(seed), hex(ct))), ss);
    }
    assert.equal(published.length, 3);
  });

  test(`TEST-KEY-06: ${kem}: what was encapsulated for a key opens with its seed, to a fresh secret each time`, () => {
    const { seed, publicKey } = generateHybridKey(kem);
    const secrets = Array.from({ length: 10 }, () => {
      const { sharedSecret, ciphertext } = hybridEncapsulate(kem, publicKey);
      assert.equal(ciphertext.length, LENGTHS[kem].ciphertext);
      assert.equal(shown(hybridDecapsulate(kem, seed, ciphertext)), shown(sharedSecret));
      return shown(sharedSecret);
    });
    assert.equal(new Set(secrets).size, 10);
    assert.equal(publicKey.length, LENGTHS[kem].publicKey);
    assert.equal(seed.length, 32);
  });

  test(`TEST-KEY-06: ${kem}: a ciphertext changed in either half never opens to the secret that was sent`, () => {
    const { seed, publicKey } = generateHybridKey(kem);
    const { sharedSecret, ciphertext } = hybridEncapsulate(kem, publicKey);
    const sent = shown(sharedSecret);
    let refusals = 0;
    const at = fc.oneof(
      fc.nat(MLKEM_CIPHERTEXT - 1),
      fc.integer({ min: MLKEM_CIPHERTEXT, max: ciphertext.length - 1 }),
    );
    fc.assert(
      fc.property(at, fc.integer({ min: 0, max: 7 }), (index, bit) => {
        const changed = Uint8Array.from(ciphertext);
        changed[index] = (changed[index] ?? 0) ^ (1 << bit);
        // X25519 passes over the highest bit (RFC 7748 section 5), but the combiner does not.
        if (kem === 'MLKEM768-X25519' || index < MLKEM_CIPHERTEXT) {
          assert.notEqual(shown(hybridDecapsulate(kem, seed, changed)), sent);
        } else {
          assert.throws(() => hybridDecapsulate(kem, seed, changed), { code: 'kem.ciphertext-invalid' });
          refusals += 1;
        }
      }),
    );
    assert.equal(refusals > 0, kem === 'MLKEM768-P256');
  });

  test(`TEST-KEY-06: ${kem}: keys, ciphertexts and seeds of another form are refused by name`, () => {
    const { seed, publicKey } = generateHybridKey(kem);
    const { ciphertext } = hybridEncapsulate(kem, publicKey);
    for (const length of [0, LENGTHS[kem].publicKey - 1, LENGTHS[kem].publicKey + 1]) {
      const refused = { code: 'kem.key-invalid', field: `${kem} key`, seen: `${length} bytes` };
      assert.throws(() => hybridEncapsulate(kem, new Uint8Array(length)), refused);
    }
    // A whole ML-KEM key with a group key that is none: off the curve, or of small order.
    const spoiled = Uint8Array.from(publicKey).fill(0, MLKEM_KEY);
    assert.throws(() => hybridEncapsulate(kem, spoiled), { code: 'kem.key-invalid', field: `${kem} key` });
    // A whole group key with an ML-KEM key whose coefficients are too large.
    const overflown = Uint8Array.from(publicKey).fill(0xff, 0, 3);
    assert.throws(() => hybridEncapsulate(kem, overflown), { code: 'kem.key-invalid', field: 'ML-KEM-768 key' });
    for (const length of [0, MLKEM_CIPHERTEXT, LENGTHS[kem].ciphertext + 1]) {
      const refused = { code: 'kem.ciphertext-invalid', field: `${kem} ciphertext`, seen: `${length} bytes` };
      assert.throws(() => hybridDecapsulate(kem, seed, new Uint8Array(length)), refused);
    }
    const zeroPoint = Uint8Array.from(ciphertext).fill(0, MLKEM_CIPHERTEXT);
    assert.throws(() => hybridDecapsulate(kem, seed, zeroPoint), {
      code: 'kem.ciphertext-invalid',
      field: `${kem} ciphertext`,
    });
    for (const length of [0, 31, 33, 64]) {
      assert.throws(() => hybridPublicKey(kem, SecretBytes.random(length)), { code: 'kem.seed-malformed' });
      const open = (): SecretBytes => hybridDecapsulate(kem, SecretBytes.random(length), ciphertext);
      assert.throws(open, { code: 'kem.seed-malformed' });
    }
  });
}

test('TEST-KEY-06: the combiner gives the bytes of the examples of draft-ietf-lamps-pq-composite-kem', () => {
  const examples = [
    {
      kem: 'MLKEM768-P256',
      mlKem: 'c9f935a9d9d439a532788f3cbf4eb2d995753bf8df5d4d33ce9ca4d740d382f0',
      z: '89a7f9557bde55ff147e6956c898e32624c2fb00b06c9492407ce29c67a8aea6',
      sent: '046f59fa2cfde7eb4eaeebbee12b8491454cce47e17ecf178211d811d3a14a7f5f00d453cf2b0b74e7e282956e584fb83cbc2fe30f27f9e28f805405b94d380b71',
      octets:
        '0435f7c0fd160488c9a356042ffee14c291fd6f7e12c0a52ffa2a59afc08cc09bbadbbcfceba7a16058484ff9495e10e0062beac8168e4ba3f841fd4a92451bf0a',
      ss: '58a35588f5fe415b5006f92e6dbc3fda78a430aef2d0060dad320105ed578d97',
    },
    {
      kem: 'MLKEM768-X25519',
      mlKem: '94035536b5e40058d83bbe428304e1b68df143069ed3845edb9f65735135ccc8',
      z: '0663a98c5eb187ff1254c67c598c6fe5109e222e967805d2eb55a5222cdc0d50',
      sent: 'ec4b94b57c064afceeacfba37f5eabd5690b2e34ebdcdef627af6280b9e38513',
      octets: '17a5d94b915a0c2bcff5f23e4c86723a8b16acc356f1c5ebe5a4587ba33fa44d',
      ss: 'af0aaca2d214ce6921b5c023a3694dff8c469dab231fdd766f749fb2c135612c',
    },
  ] as const;
  for (const { kem, mlKem, z, sent, octets, ss } of examples) {
    assert.equal(shown(combine(kem, secret(mlKem), secret(z), hex(sent), hex(octets))), ss, kem);
  }
});

test('one seed of 2^32 has its P-256 scalar in its second 32 bytes: numbers out of range are passed over', () => {
  const order = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';
  const below = order.replace(/1$/, '0');
  const scalar = (...candidates: string[]): string => Buffer.from(p256Scalar(hex(candidates.join('')))).toString('hex');
  const [zero, one, all] = ['00'.repeat(32), '1'.padStart(64, '0'), 'ff'.repeat(32)];
  assert.equal(scalar(one, all, all, all), one);
  assert.equal(scalar(below, one, one, one), below);
  assert.equal(scalar(order, zero, all, one), one);
  assert.throws(() => scalar(order, zero, all, order), { code: 'kem.seed-malformed' });
});

test('one seed gives both hybrids the same ML-KEM half, as the drafts have it, and stays with the caller', () => {
  using seed = SecretBytes.random(32);
  const before = shown(seed);
  const keys = KEMS.map((kem) => Buffer.from(hybridPublicKey(kem, seed)).toString('hex'));
  // So a seed is for one KEM.
  assert.equal(keys[0]?.slice(0, 2 * MLKEM_KEY), keys[1]?.slice(0, 2 * MLKEM_KEY));
  for (const kem of KEMS) {
    const { ciphertext } = hybridEncapsulate(kem, hybridPublicKey(kem, seed));
    hybridDecapsulate(kem, seed, ciphertext).wipe();
  }
  assert.equal(shown(seed), before);
});
