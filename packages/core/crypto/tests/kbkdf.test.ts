import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { deviceKey, type KbkdfMode, type KdfHash, kbkdf, SecretBytes } from '../index.ts';
import { kbkdfOverFixed } from '../kbkdf.ts';
import { HASH_BYTES } from '../kdf-bounds.ts';
import { ascii, cavp, fieldOf, headingOf, hex, opensslKdf, secret, shown } from './support.ts';

const HASHES = ['sha256', 'sha384', 'sha512'] as const;
const HASH_OF: Readonly<Record<string, KdfHash>> = {
  HMAC_SHA256: 'sha256',
  HMAC_SHA384: 'sha384',
  HMAC_SHA512: 'sha512',
};

function widthOf(rlen: string): 8 | 16 | 24 | 32 {
  const width = Number.parseInt(rlen, 10);
  if (width !== 8 && width !== 16 && width !== 24 && width !== 32) throw new Error(`a counter of ${rlen}`);
  return width;
}

test('TEST-KEY-04: CAVP: SP 800-108 counter mode gives every published key, with counters of 8 to 32 bits', () => {
  const cases = cavp('kbkdf_counter.rsp');
  const seen = new Set<string>();
  for (const one of cases) {
    const prf = headingOf(one, 'PRF');
    const counterBits = widthOf(headingOf(one, 'RLEN'));
    const key = secret(fieldOf(one, 'KI'));
    const length = Number(fieldOf(one, 'L')) / 8;
    const fixed = hex(fieldOf(one, 'FixedInputData'));
    const output = kbkdfOverFixed(HASH_OF[prf] ?? 'sha256', key, fixed, length, { mode: 'counter', counterBits });
    assert.equal(shown(output), fieldOf(one, 'KO'), `${prf} ${counterBits} COUNT=${fieldOf(one, 'COUNT')}`);
    seen.add(`${prf} ${counterBits}`);
  }
  assert.equal(cases.length, 240);
  assert.equal(seen.size, 12);
});

test('TEST-KEY-04: CAVP: SP 800-108 feedback mode with an IV gives every published key', () => {
  const cases = cavp('kbkdf_feedback.rsp');
  for (const one of cases) {
    const mode: KbkdfMode = { mode: 'feedback', counterBits: 32, iv: hex(fieldOf(one, 'IV')) };
    const fixed = hex(fieldOf(one, 'FixedInputData'));
    const length = Number(fieldOf(one, 'L')) / 8;
    const output = kbkdfOverFixed('sha256', secret(fieldOf(one, 'KI')), fixed, length, mode);
    assert.equal(shown(output), fieldOf(one, 'KO'), `COUNT=${fieldOf(one, 'COUNT')}`);
  }
  assert.equal(cases.length, 8);
});

for (const hash of HASHES) {
  test(`TEST-KEY-04: openssl kdf gives the same SP 800-108 keys with ${hash}, in counter and feedback mode`, () => {
    const requests = [1, 16, 48, 100, 300].flatMap((length) => [
      { length, mode: { mode: 'counter' } as const, options: { mode: 'counter' } },
      { length, mode: { mode: 'feedback' } as const, options: { mode: 'feedback' } },
    ]);
    // openssl takes an initial value of the hash's length only.
    const iv = ascii('an initial value that all may see, as long as the hash is of 64b').subarray(0, HASH_BYTES[hash]);
    const seeded = { mode: 'feedback', hexseed: Buffer.from(iv).toString('hex') };
    for (const { length, mode, options } of [
      ...requests,
      { length: 100, mode: { mode: 'feedback', iv } as const, options: seeded },
    ]) {
      const key = SecretBytes.random(32);
      const theirs = opensslKdf('KBKDF', length, {
        mac: 'HMAC',
        digest: hash.toUpperCase(),
        hexkey: shown(key),
        salt: 'a purpose',
        info: 'a device',
        ...options,
      });
      const ours = kbkdf(hash, key, ascii('a purpose'), ascii('a device'), length, mode);
      assert.equal(shown(ours), theirs, JSON.stringify(options));
    }
  });
}

test('TEST-KEY-04: two requests give one key only when label, context and length are the same', () => {
  using master = SecretBytes.random(32);
  // Few letters, and the octets that a careless concatenation would trip over.
  const text = (minLength: number): fc.Arbitrary<Uint8Array> =>
    fc.array(fc.constantFrom(0, 1, 0x61, 0x80), { minLength, maxLength: 4 }).map((octets) => Uint8Array.from(octets));
  const label = text(1).filter((octets) => !octets.includes(0));
  const request = fc.tuple(label, text(0), fc.constantFrom(16, 32));
  fc.assert(
    fc.property(request, request, (one, two) => {
      const [a, b] = [one, two].map(([l, c, n]) => shown(kbkdf('sha256', master, l, c, n)).slice(0, 32));
      assert.equal(a === b, JSON.stringify(one) === JSON.stringify(two));
    }),
    { numRuns: 500 },
  );
});

test('a derivation out of bounds is refused by name, and the key stays usable', () => {
  using key = SecretBytes.random(32);
  const label = ascii('label');
  for (const length of [0, -1, 1.5, 8161, Number.NaN]) {
    assert.throws(() => kbkdf('sha256', key, label, label, length), { code: 'kdf.length' });
  }
  for (const bad of [ascii(''), ascii('a\0b'), ascii('\0')]) {
    assert.throws(() => kbkdf('sha256', key, bad, label, 32), { code: 'kdf.label-malformed', field: 'label' });
  }
  assert.throws(
    () => kbkdf('sha256', SecretBytes.random(13), label, label, 32),
    /SP 800-131A r2 section 8.*saw 13 bytes/,
  );
  assert.equal(kbkdf('sha256', key, label, label, 8160, { mode: 'counter', counterBits: 8 }).length, 8160);
});

test('TEST-KEY-04: each device has a key of its own for each purpose, and openssl kdf gives the same', () => {
  using master = SecretBytes.random(32);
  const keys = ['pump-1', 'pump-2', 'pump-1 '].flatMap((id) =>
    ['seal', 'mac'].map((purpose) => shown(deviceKey(master, id, purpose))),
  );
  assert.equal(new Set(keys).size, 6);
  assert.equal(shown(deviceKey(master, 'pump-1', 'seal')), keys[0]);
  const theirs = opensslKdf('KBKDF', 32, {
    mac: 'HMAC',
    digest: 'SHA256',
    hexkey: shown(master),
    salt: 'keystead device key 1 seal',
    info: 'pump-1',
  });
  assert.equal(keys[0], theirs);
});

test('TEST-KEY-04: a device key without a device, a purpose or a whole master is refused', () => {
  using master = SecretBytes.random(32);
  for (const purpose of ['', 'Seal', 'a\0b', ' a', 'x'.repeat(65)]) {
    assert.throws(() => deviceKey(master, 'pump-1', purpose), { code: 'kdf.purpose-malformed', field: 'purpose' });
  }
  for (const id of ['', 'x'.repeat(256), '\ud800']) {
    assert.throws(() => deviceKey(master, id, 'seal'), { code: 'kdf.context-malformed', field: 'device id' });
  }
  assert.throws(() => deviceKey(SecretBytes.random(31), 'pump-1', 'seal'), RangeError);
});
