import assert from 'node:assert/strict';
import { argon2Sync } from 'node:crypto';
import { test } from 'node:test';
import { defaultPasswordKdf, type PasswordKdf, passwordKey, randomBytes, SecretBytes } from '../index.ts';
import { stretch } from '../password.ts';
import { hex, opensslKdf, phrase, shown, wycheproof } from './support.ts';

const salt = randomBytes(16);
const argon2id = { kdf: 'argon2id', salt, memory: 65_536, passes: 3, parallelism: 4 } as const;
const pbkdf2 = { kdf: 'pbkdf2-hmac-sha256', salt, iterations: 600_000 } as const;
const refused = (params: PasswordKdf, code: string, field: string): Promise<void> =>
  assert.rejects(passwordKey(params, phrase('correct horse'), 32), { code, field });

test('TEST-KEY-05: Wycheproof: PBKDF2-HMAC-SHA-256 gives every published key', async () => {
  let cases = 0;
  for (const group of wycheproof('pbkdf2_hmacsha256_test.json')) {
    for (const { tcId, password, salt: theirSalt, iterationCount, dkLen, dk } of group.tests) {
      const params = { kdf: 'pbkdf2-hmac-sha256', salt: hex(theirSalt), iterations: Number(iterationCount) } as const;
      const key = await stretch(params, hex(password), Number(dkLen));
      assert.equal(key.toString('hex'), dk, `case ${tcId}`);
      cases += 1;
    }
  }
  assert.ok(cases >= 60, `${cases} cases`);
});

test('TEST-KEY-05: openssl kdf gives the same PBKDF2 keys at the floors', async () => {
  for (const [hash, iterations] of [
    ['sha256', 600_000],
    ['sha512', 210_000],
  ] as const) {
    const key = await passwordKey({ kdf: `pbkdf2-hmac-${hash}`, salt, iterations }, phrase('correct horse'), 32);
    const options = { pass: 'correct horse', hexsalt: Buffer.from(salt).toString('hex'), iter: String(iterations) };
    assert.equal(shown(key), opensslKdf('PBKDF2', 32, { digest: hash.toUpperCase(), ...options }));
  }
});

test('TEST-KEY-05: the Argon2id underneath gives the bytes of RFC 9106 section 5.3', async () => {
  const tag = argon2Sync('argon2id', {
    message: Buffer.alloc(32, 1),
    nonce: Buffer.alloc(16, 2),
    secret: Buffer.alloc(8, 3),
    associatedData: Buffer.alloc(12, 4),
    parallelism: 4,
    tagLength: 32,
    memory: 32,
    passes: 3,
  });
  assert.equal(tag.toString('hex'), '0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659');
  const { kdf, salt: nonce, ...cost } = argon2id;
  const theirs = argon2Sync(kdf, { message: Buffer.from('correct horse'), nonce, tagLength: 32, ...cost });
  assert.equal(shown(await passwordKey(argon2id, phrase('correct horse'), 32)), theirs.toString('hex'));
});

test('TEST-KEY-05: a salt below 128 bits is refused and the rule is named', async () => {
  for (const params of [argon2id, pbkdf2]) {
    await refused({ ...params, salt: randomBytes(15) }, 'kdf.salt-too-short', 'salt');
    await refused({ ...params, salt: new Uint8Array() }, 'kdf.salt-too-short', 'salt');
  }
  await assert.rejects(
    passwordKey({ ...pbkdf2, salt: randomBytes(15) }, phrase('x'), 32),
    /SP 800-132 section 5\.1.*15 bytes/,
  );
});

test('TEST-KEY-05: too few iterations or passes are refused and the rule is named', async () => {
  for (const iterations of [0, 1, 1000, 599_999, 600_000.5, Number.NaN]) {
    await refused({ ...pbkdf2, iterations }, 'kdf.iterations-too-low', 'iterations');
  }
  await refused({ kdf: 'pbkdf2-hmac-sha512', salt, iterations: 209_999 }, 'kdf.iterations-too-low', 'iterations');
  await refused({ ...argon2id, passes: 2 }, 'kdf.iterations-too-low', 'passes');
  await assert.rejects(
    passwordKey({ ...pbkdf2, iterations: 1000 }, phrase('x'), 32),
    /SP 800-132 section 5\.2.*saw 1000/,
  );
});

test('TEST-KEY-05: too little memory for Argon2id is refused and the rule is named', async () => {
  await refused({ ...argon2id, memory: 65_535 }, 'kdf.memory-too-low', 'memory');
  await assert.rejects(passwordKey({ ...argon2id, memory: 8 }, phrase('x'), 32), /RFC 9106 section 4.*saw 8 KiB/);
});

test('TEST-KEY-05: a key of less than 112 bits is refused', async () => {
  await assert.rejects(passwordKey(pbkdf2, phrase('correct horse'), 13), { code: 'kdf.key-too-short' });
});

test('an empty passphrase is refused', async () => {
  await assert.rejects(passwordKey(pbkdf2, phrase(''), 32), { code: 'kdf.passphrase-empty' });
});

test('parameters of a hostile file cannot take the machine', async () => {
  await refused({ ...pbkdf2, iterations: 2 ** 40 }, 'kdf.cost-too-high', 'iterations');
  await refused({ ...argon2id, memory: 2 ** 31 }, 'kdf.cost-too-high', 'memory');
  await refused({ ...argon2id, passes: 1000 }, 'kdf.cost-too-high', 'passes');
  await refused({ ...argon2id, parallelism: 0 }, 'kdf.cost-too-high', 'parallelism');
  await refused({ ...argon2id, parallelism: 255 }, 'kdf.cost-too-high', 'parallelism');
  await refused({ ...pbkdf2, salt: new Uint8Array(1025) }, 'kdf.cost-too-high', 'salt');
});

test('TEST-KEY-05: the default is memory-hard, PBKDF2 in FIPS mode, with a fresh salt each time, within the floors', async () => {
  const [usual, again, fips] = [defaultPasswordKdf(false), defaultPasswordKdf(false), defaultPasswordKdf(true)];
  assert.equal(usual.kdf, 'argon2id');
  assert.equal(fips.kdf, 'pbkdf2-hmac-sha256');
  assert.notDeepEqual(usual.salt, again.salt);
  for (const params of [usual, fips]) assert.equal((await passwordKey(params, phrase('correct horse'), 32)).length, 32);
});

test('the passphrase stays with the caller and the same passphrase gives the same key', async () => {
  const passphrase = phrase('correct horse');
  const one = await passwordKey(argon2id, passphrase, 32);
  const two = await passwordKey(argon2id, passphrase, 32);
  assert.equal(shown(one), shown(two));
  assert.equal(passphrase.wiped, false);
  assert.notEqual(shown(one), shown(await passwordKey(argon2id, phrase('correct horsf'), 32)));
  assert.ok(SecretBytes.random(1));
});
