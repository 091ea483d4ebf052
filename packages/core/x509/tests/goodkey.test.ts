import assert from 'node:assert/strict';
import { createECDH, generateKeyPairSync, generatePrimeSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { type DerSpki, fromHex, toHex } from '../../bytes/index.ts';
import { generateSoftwareKey, type KeyAlgorithm } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { bitString, integer, integerFromBytes, nullValue, oid, sequence } from '../der/writer.ts';
import { checkPublicKey } from '../goodkey/index.ts';
import { PUBLISHED_KEYS } from '../goodkey/known-keys.data.ts';
import { KEY_OIDS } from '../oids.ts';
import { bigIntOf, readSpki } from '../spki.ts';

const ALL: readonly KeyAlgorithm[] = ['P-256', 'P-384', 'Ed25519', 'RSA-2048', 'RSA-3072', 'RSA-4096'];
const refused = (spki: Uint8Array, code: string, seen?: RegExp) =>
  assert.throws(
    () => checkPublicKey(spki as DerSpki, ALL),
    (error) => error instanceof KeysteadError && error.code === code && (seen?.test(error.seen ?? '') ?? true),
  );

const ecSpki = (curve: string, point: Uint8Array): Uint8Array =>
  sequence(sequence(oid(KEY_OIDS.ecPublicKey), oid(curve)), bitString(point));
const ed25519Spki = (y: bigint, sign = 0): Uint8Array => {
  const octets = fromHex((y + (BigInt(sign) << 255n)).toString(16).padStart(64, '0')).reverse();
  return sequence(sequence(oid(KEY_OIDS.Ed25519)), bitString(octets));
};
const bytesOf = (n: bigint): Uint8Array => {
  const hex = n.toString(16);
  return fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
};
const rsaSpki = (n: bigint, e = 65_537n): Uint8Array =>
  sequence(
    sequence(oid(KEY_OIDS.rsaEncryption), nullValue()),
    bitString(sequence(integerFromBytes(bytesOf(n)), integerFromBytes(bytesOf(e)))),
  );
/** A prime of `bits` bits whose two top bits are set, so that the product of two has twice as many. */
const prime = (bits: number): bigint => {
  for (;;) {
    const p = generatePrimeSync(bits, { bigint: true });
    if (p >> BigInt(bits - 2) === 3n) return p;
  }
};

test('good keys of each algorithm pass, when they are allowed', () => {
  for (const algorithm of ['P-256', 'P-384', 'Ed25519', 'RSA-3072'] as const) {
    const { spki } = generateSoftwareKey(algorithm);
    assert.equal(checkPublicKey(spki, ALL), algorithm);
    assert.throws(
      () =>
        checkPublicKey(
          spki,
          ALL.filter((other) => other !== algorithm),
        ),
      (error) => error instanceof KeysteadError && error.code === 'key.algorithm-forbidden' && error.seen === algorithm,
    );
  }
});

test('a hundred good keys of each curve pass', () => {
  for (let i = 0; i < 100; i += 1)
    for (const a of ['P-256', 'P-384', 'Ed25519'] as const) checkPublicKey(generateSoftwareKey(a).spki, ALL);
});

test('algorithms and sizes that are not known are named and refused', () => {
  for (const [spki, seen] of [
    [generateKeyPairSync('ec', { namedCurve: 'secp521r1' }).publicKey, /1\.3\.132\.0\.35/],
    [generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey, /^RSA-1024$/],
    [generateKeyPairSync('rsa', { modulusLength: 2056 }).publicKey, /^RSA-2056$/],
    [generateKeyPairSync('x25519').publicKey, /1\.3\.101\.110/],
    [generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey, /1\.2\.840\.113549\.1\.1\.10/],
  ] as const)
    refused(spki.export({ format: 'der', type: 'spki' }), 'key.algorithm-forbidden', seen);
});

test('TEST-KEY-19 a key whose private half is published is refused, whatever its sign or exponent', () => {
  // RFC 9500 section 2.3, testECCP256.
  const point = Buffer.from(
    'BEIlSPiPt4L/teyjdERSxyoeVY+9b3O+XkjpMjLMRcWxbEzRDEy41bihcTnpSILImSVymTQl9BQZq36QpCpJQnI=',
    'base64',
  );
  refused(ecSpki(KEY_OIDS.prime256v1, point), 'key.known-compromised');
  const p = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
  const negated = fromHex((p - bigIntOf(point.subarray(33))).toString(16).padStart(64, '0'));
  refused(ecSpki(KEY_OIDS.prime256v1, Buffer.concat([point.subarray(0, 33), negated])), 'key.known-compromised');
  // RFC 8032 section 7.1, test 1.
  const ed = fromHex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  for (const sign of [0, 0x80]) {
    ed[31] = ((ed[31] ?? 0) & 0x7f) | sign;
    refused(sequence(sequence(oid(KEY_OIDS.Ed25519)), bitString(ed)), 'key.known-compromised');
  }
  // RFC 9500 section 2.1, testRSA2048.
  const n = Buffer.from(
    'sPnoGUOnrpiSqt4XynxA-HRP7S-BSObI6qJ7fQAVSPtRkqsotWxQYLEYzNEx5ZSHTGypibVsJylvCfuToDTfMul8b_CZjP2Ob0LdpYrNH6l5hvFE89FU1nZQF15oVLOpUgA7wGiHuEVawrGfey92UE68mOyUVXGweJIVDdxqdMoPvNNUl86BU02vlBiESxOuox-dWmuVV7vfYZ79Toh_LUK43YvJh-rhv4nKuF7iHjVjBd9sB6iDjj70HFldzOQ9r8SRI-9NirupPTkF5AKNe6kUhKJ1luB7S27ZkvB3tSTT3P593VVJvnzOjaA1z6Cz-4-eRvcysqhrRgFlwI9TEw',
    'base64url',
  );
  for (const e of [65_537n, 65_539n]) refused(rsaSpki(bigIntOf(n), e), 'key.known-compromised');
});

test('a private key that is a small number is known', () => {
  for (const [curve, oidOf, octets] of [
    ['prime256v1', KEY_OIDS.prime256v1, 32],
    ['secp384r1', KEY_OIDS.secp384r1, 48],
  ] as const)
    for (let d = 1; d <= 32; d += 1) {
      const ecdh = createECDH(curve);
      ecdh.setPrivateKey(Buffer.from(d.toString(16).padStart(octets * 2, '0'), 'hex'));
      refused(ecSpki(oidOf, ecdh.getPublicKey()), 'key.known-compromised');
    }
});

test('each fingerprint of the list stands there once, and has its source', () => {
  const all = PUBLISHED_KEYS.flatMap(({ source, keys }) => {
    assert.match(source, /\S/);
    return keys.map(([name, fingerprint]) => {
      assert.match(name, /\S/);
      assert.match(fingerprint, /^[0-9a-f]{64}$/);
      return fingerprint;
    });
  });
  assert.equal(new Set(all).size, all.length);
  assert.ok(all.length > 150);
});

test('the invalid public keys of Wycheproof are all refused, the valid ones only when they are published', () => {
  let invalid = 0;
  for (const [curve, algorithm] of [
    ['secp256r1', 'P-256'],
    ['secp384r1', 'P-384'],
  ] as const) {
    const path = new URL(`../../../../vectors/wycheproof/ecdh_${curve}_test.json`, import.meta.url);
    const file = JSON.parse(readFileSync(path, 'utf8')) as {
      testGroups: { tests: { tcId: number; public: string; result: string; flags: string[] }[] }[];
    };
    for (const { tests } of file.testGroups)
      for (const { tcId, public: hex, result, flags } of tests) {
        let outcome = 'accepted';
        try {
          checkPublicKey(fromHex(hex) as DerSpki, [algorithm]);
        } catch (error) {
          assert.ok(error instanceof KeysteadError, `${curve} ${tcId}`);
          outcome = error.code;
        }
        if (result === 'invalid') {
          invalid += 1;
          assert.notEqual(outcome, 'accepted', `${curve} ${tcId} ${flags}`);
        }
        if (result === 'valid') assert.match(outcome, /^(accepted|key\.known-compromised)$/, `${curve} ${tcId}`);
      }
  }
  assert.ok(invalid > 50, `${invalid}`);
});

test('a point off its curve, at infinity, or with a coordinate out of range is weak', () => {
  const { spki } = generateSoftwareKey('P-256');
  const off = Uint8Array.from(spki);
  off[off.length - 1] = (off.at(-1) ?? 0) ^ 1;
  refused(off, 'key.weak', /not on its curve/);
  refused(ecSpki(KEY_OIDS.prime256v1, new Uint8Array(65).fill(4, 0, 1)), 'key.weak', /not on its curve/);
  refused(ecSpki(KEY_OIDS.prime256v1, fromHex('00')), 'key.weak');
  refused(ecSpki(KEY_OIDS.prime256v1, fromHex(`04${'ff'.repeat(64)}`)), 'key.weak', /not on its curve/);
  const compressed = readSpki(spki).keyBits.slice(0, 33);
  compressed[0] = 2 + ((readSpki(spki).keyBits.at(-1) ?? 0) & 1);
  refused(ecSpki(KEY_OIDS.prime256v1, compressed), 'key.weak', /uncompressed/);
});

const P = 2n ** 255n - 19n;

test('every Ed25519 point of small order is weak, in each of its encodings; so is one off the curve', () => {
  const order8 = [
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  ].map((hex) => bigIntOf(fromHex(hex).reverse()));
  for (const y of [0n, 1n, P - 1n, ...order8])
    for (const sign of [0, 1]) refused(ed25519Spki(y, sign), 'key.weak', /small order/);
  for (const y of [P, P + 1n, P + 2n, 2n ** 255n - 1n]) refused(ed25519Spki(y), 'key.weak', /out of range/);
  refused(ed25519Spki(2n), 'key.weak', /not on its curve/);
});

test('an Ed25519 y is on the curve for OpenSSL, which verifies with it, exactly when the check says so', () => {
  // OpenSSL decompresses the point only when it verifies; about half of all y are on the curve.
  let passed = 0;
  fc.assert(
    fc.property(fc.bigInt({ min: 3n, max: P - 2n }), (y) => {
      const d = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;
      const power = (b: bigint, e: bigint): bigint =>
        e === 0n ? 1n : (power((b * b) % P, e >> 1n) * (e & 1n ? b : 1n)) % P;
      const x2 = ((y * y - 1n) * power((d * y * y + 1n) % P, P - 2n)) % P;
      const root = power(x2, (P + 3n) / 8n);
      const onCurve = (root * root - x2) % P === 0n || (root * root + x2) % P === 0n;
      try {
        checkPublicKey(ed25519Spki(y) as DerSpki, ALL);
        passed += 1;
        return onCurve;
      } catch {
        return !onCurve;
      }
    }),
    { numRuns: 100 },
  );
  assert.ok(passed > 20);
});

test('an RSA key with bad parameters is weak, and each rule is named', () => {
  const p = prime(1024);
  const q = prime(1024);
  assert.equal(checkPublicKey(rsaSpki(p * q) as DerSpki, ALL), 'RSA-2048');
  refused(rsaSpki(p * q, 3n), 'key.weak', /exponent 3/);
  refused(rsaSpki(p * q, 65_535n), 'key.weak', /exponent 65535/);
  refused(rsaSpki(p * q, 65_538n), 'key.weak', /even exponent/);
  refused(rsaSpki(p * q, (1n << 256n) + 1n), 'key.weak', /256 bits/);
  refused(rsaSpki(p * q - 1n), 'key.weak', /even modulus/);
  for (const factor of [3n, 751n, 7919n]) {
    const cofactor = prime(2048 - factor.toString(2).length + 1);
    const n = cofactor * factor;
    if (n.toString(2).length === 2048) refused(rsaSpki(n), 'key.weak', new RegExp(`divisible by ${factor}`));
  }
  refused(rsaSpki(prime(2048)), 'key.weak', /prime modulus/);
  refused(rsaSpki(p * p), 'key.weak', /too close/);
});

test('an RSA modulus whose factors are close is found by Fermat (CVE-2022-26320)', () => {
  const p = prime(1024);
  let q = p + 2n ** 400n;
  if (q % 2n === 0n) q += 1n;
  // The next prime above: its distance from p is far below 2^(1024 - 100).
  for (const step = 2n; ; q += step) {
    const small = [3n, 5n, 7n, 11n, 13n].some((d) => q % d === 0n);
    if (!small && modPow(2n, q - 1n, q) === 1n) break;
  }
  refused(rsaSpki(p * q), 'key.weak', /too close/);
});

function modPow(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === '1') result = (result * base) % modulus;
  }
  return result;
}

test('an RSA key by the library of CVE-2017-15361 is known by its fingerprint', () => {
  // Primes of the form k*M + (65537^a mod M), M the product of the first primes (Nemec and others, 2017).
  const primes: bigint[] = [];
  for (let n = 2n; primes.length < 126; n += 1n) if (primes.every((p) => n % p !== 0n)) primes.push(n);
  const M = primes.reduce((product, p) => product * p, 1n);
  const rocaPrime = (a: bigint): bigint => {
    const residue = modPow(65_537n, a, M);
    const base = (3n << 1022n) / M;
    for (let k = base; ; k += 1n) {
      const candidate = k * M + residue;
      if (modPow(2n, candidate - 1n, candidate) === 1n) return candidate;
    }
  };
  const n = rocaPrime(1234n) * rocaPrime(987_654n);
  assert.equal(n.toString(2).length, 2048);
  refused(rsaSpki(n), 'key.weak', /ROCA/);
});

test('a SubjectPublicKeyInfo in another encoding is refused, so that each key has one hash', () => {
  const { spki } = generateSoftwareKey('P-256');
  const { keyBits } = readSpki(spki);
  refused(
    sequence(sequence(oid(KEY_OIDS.Ed25519), nullValue()), bitString(new Uint8Array(32))),
    'key.weak',
    /no parameters/,
  );
  refused(sequence(sequence(oid(KEY_OIDS.ecPublicKey)), bitString(keyBits)), 'key.algorithm-forbidden');
  refused(
    sequence(sequence(oid(KEY_OIDS.rsaEncryption)), bitString(sequence(integer(5), integer(3)))),
    'key.weak',
    /NULL/,
  );
  refused(Buffer.concat([spki, Uint8Array.of(0)]), 'key.weak', /after the end/);
  refused(new Uint8Array(0), 'key.weak');
  const negative = Uint8Array.of(2, 1, 0x80);
  refused(
    sequence(sequence(oid(KEY_OIDS.rsaEncryption), nullValue()), bitString(sequence(negative, integer(3)))),
    'key.weak',
    /negative/,
  );
});

test('whatever the bytes, the check ends in time and with a KeysteadError', () => {
  const seeds = [
    generateSoftwareKey('P-256').spki,
    generateSoftwareKey('Ed25519').spki,
    rsaSpki(prime(1024) * prime(1024)),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...seeds),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (seed, edits) => {
        const spki = Uint8Array.from(seed);
        for (const [at, octet] of edits) spki[at % spki.length] = octet;
        const started = performance.now();
        try {
          checkPublicKey(spki as DerSpki, ALL);
        } catch (error) {
          assert.ok(error instanceof KeysteadError, `${toHex(spki)}: ${error}`);
        }
        assert.ok(performance.now() - started < 500);
      },
    ),
    { numRuns: 600 },
  );
});
