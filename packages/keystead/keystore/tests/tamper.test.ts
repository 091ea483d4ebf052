import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fromBase64 } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import fc from 'fast-check';
import { createSealedKeystore, openSealedKeystore } from '../index.ts';
import { formatSealedFile, parseSealedFile, type SealedFile } from '../sealed-format.ts';
import { Sealing } from '../sealing.ts';
import { clock, inTemporaryDirectory, phrase } from './support.ts';

const PASSPHRASE = 'correct horse battery staple';

interface Sealed {
  readonly bytes: Buffer;
  readonly sealing: Sealing;
  readonly file: SealedFile;
}

/** A keystore file with two keys, and the keys that its passphrase gives, derived once. */
const sealed: Sealed = await inTemporaryDirectory(async (dir) => {
  const path = join(dir, 'keystore.sealed');
  const keystore = await createSealedKeystore(path, phrase(PASSPHRASE), clock);
  await keystore.generate('one', 'P-256', 'first');
  await keystore.generate('two', 'P-256', 'second');
  keystore.close();
  const bytes = readFileSync(path);
  const file = parseSealedFile(bytes);
  return { bytes, file, sealing: await Sealing.fromPassphrase(file.header, phrase(PASSPHRASE)) };
});

/** What opening does once the keys are derived. */
function openAll({ sealing }: Sealed, bytes: Uint8Array): void {
  for (const key of sealing.parse(bytes)) sealing.open(key).wipe();
}

const codeOf = (f: () => void): string => {
  try {
    f();
    return 'accepted';
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
};

test('the unchanged file opens', () => {
  assert.equal(
    codeOf(() => openAll(sealed, sealed.bytes)),
    'accepted',
  );
});

test('every single flipped bit of the file is noticed', () => {
  for (let bit = 0; bit < sealed.bytes.length * 8; bit += 1) {
    const flipped = Uint8Array.from(sealed.bytes);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.equal(
      codeOf(() => openAll(sealed, flipped)),
      'keystore.damaged',
      `bit ${bit}`,
    );
  }
});

test('every byte replaced by any other byte, every truncation and every addition is noticed', () => {
  for (let at = 0; at < sealed.bytes.length; at += 1) {
    const changed = Uint8Array.from(sealed.bytes);
    changed[at] = ((changed[at] ?? 0) + 1 + ((randomBytes(1)[0] ?? 0) % 255)) & 0xff;
    assert.equal(
      codeOf(() => openAll(sealed, changed)),
      'keystore.damaged',
      `byte ${at}`,
    );
    assert.equal(
      codeOf(() => openAll(sealed, sealed.bytes.subarray(0, at))),
      'keystore.damaged',
      `length ${at}`,
    );
  }
  for (const more of [' ', '\n', '\0', '{}']) {
    assert.equal(
      codeOf(() => openAll(sealed, Buffer.concat([sealed.bytes, Buffer.from(more)]))),
      'keystore.damaged',
    );
  }
});

test('end to end: flipped bytes all over the file are noticed, whatever the passphrase', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'keystore.sealed');
    for (let at = 0; at < sealed.bytes.length; at += 37) {
      const flipped = Uint8Array.from(sealed.bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      writeFileSync(path, flipped);
      await assert.rejects(openSealedKeystore(path, phrase(PASSPHRASE), clock), { code: 'keystore.damaged' });
    }
  });
});

test('a change by somebody who makes the checksum right is noticed by the mac: each value of the file', () => {
  const { header, keys, mac } = sealed.file;
  const [one, two] = keys;
  assert.ok(one && two);
  const flip = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes, (byte, at) => (at === 3 ? byte ^ 1 : byte));
  const changes: Record<string, SealedFile> = {
    'key dropped': { header, keys: [one], mac },
    'all keys dropped': { header, keys: [], mac },
    'keys swapped': { header, keys: [two, one], mac },
    'key twice': { header, keys: [one, one, two], mac },
    'names swapped': {
      header,
      keys: [
        { ...one, id: 'two' },
        { ...two, id: 'one' },
      ],
      mac,
    },
    'sealed swapped': {
      header,
      keys: [
        { ...one, sealed: two.sealed },
        { ...two, sealed: one.sealed },
      ],
      mac,
    },
    'sealed flipped': { header, keys: [{ ...one, sealed: flip(one.sealed) }, two], mac },
    'purpose changed': { header, keys: [{ ...one, purpose: 'other' }, two], mac },
    'algorithm changed': { header, keys: [{ ...one, algorithm: 'P-384' }, two], mac },
    'key time changed': { header, keys: [{ ...one, createdAt: '2020-01-01T00:00:00.000Z' }, two], mac },
    'file time changed': { header: { ...header, createdAt: '2020-01-01T00:00:00.000Z' }, keys, mac },
    'module changed': { header: { ...header, fips140: 'OpenSSL FIPS provider' }, keys, mac },
    'salt changed': { header: { ...header, kdf: { ...header.kdf, salt: flip(header.kdf.salt) } }, keys, mac },
    'mac changed': { header, keys, mac: flip(mac) },
    'mac cut': { header, keys, mac: mac.subarray(0, 16) },
    'mac gone': { header, keys, mac: new Uint8Array() },
  };
  for (const [name, file] of Object.entries(changes)) {
    assert.equal(
      codeOf(() => openAll(sealed, formatSealedFile(file))),
      'keystore.wrong-passphrase',
      name,
    );
  }
});

test('behind the mac, each sealed key is bound to its own name, purpose and file', async () => {
  const [one, two] = sealed.file.keys;
  assert.ok(one && two);
  const forged = [
    { ...one, id: 'two' },
    { ...one, purpose: 'second' },
    { ...one, algorithm: 'P-384' as const },
    { ...one, createdAt: '2020-01-01T00:00:00.000Z' },
    { ...one, sealed: two.sealed },
  ];
  for (let at = 0; at < one.sealed.length; at += 1) {
    const flipped = Uint8Array.from(one.sealed, (byte, i) => (i === at ? byte ^ 0x80 : byte));
    assert.throws(() => sealed.sealing.open({ ...one, sealed: flipped }), { code: 'keystore.damaged' });
  }
  for (const key of forged) assert.throws(() => sealed.sealing.open(key), { code: 'keystore.damaged' });
  const other = await Sealing.fromPassphrase(
    { ...sealed.file.header, createdAt: '2020-01-01T00:00:00.000Z' },
    phrase(PASSPHRASE),
  );
  assert.throws(() => other.open(one), { code: 'keystore.damaged' });
});

test('weak or absurd KDF parameters in a forged file are refused before they cost anything', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'keystore.sealed');
    const { salt } = sealed.file.header.kdf;
    const kdfs = [
      { kdf: 'argon2id', salt, memory: 8, passes: 1, parallelism: 1 },
      { kdf: 'argon2id', salt, memory: 2 ** 31, passes: 3, parallelism: 4 },
      { kdf: 'pbkdf2-hmac-sha256', salt, iterations: 1 },
      { kdf: 'pbkdf2-hmac-sha256', salt, iterations: 2 ** 40 },
      { kdf: 'pbkdf2-hmac-sha256', salt: salt.subarray(0, 8), iterations: 600_000 },
    ] as const;
    for (const kdf of kdfs) {
      writeFileSync(path, formatSealedFile({ ...sealed.file, header: { ...sealed.file.header, kdf } }));
      await assert.rejects(openSealedKeystore(path, phrase(PASSPHRASE), clock), {
        code: 'keystore.damaged',
        field: 'kdf',
      });
    }
  });
});

test('no file makes the parser throw anything but its own error', () => {
  const json: { header: object; keys: object[]; mac: string; sha256: string } = JSON.parse(sealed.bytes.toString());
  const anything = fc.oneof(
    fc.uint8Array(),
    fc.json().map((text) => Buffer.from(text)),
    fc
      .record({
        header: fc.constant(json.header),
        keys: fc.array(fc.object()),
        mac: fc.base64String(),
        sha256: fc.string(),
      })
      .map((value) => Buffer.from(JSON.stringify(value, null, 2))),
  );
  fc.assert(
    fc.property(anything, (bytes) => {
      assert.throws(() => parseSealedFile(bytes), { code: 'keystore.damaged' });
    }),
  );
  assert.throws(() => parseSealedFile(new Uint8Array(5 * 2 ** 20).fill(0x20)), { code: 'keystore.damaged' });
});

test('another spelling of the same base64 is another file', () => {
  const text = sealed.bytes.toString();
  const { mac } = JSON.parse(text);
  // 32 bytes end in a digit with two spare bits.
  const spelled = `${mac.slice(0, -2)}${String.fromCharCode(mac.charCodeAt(mac.length - 2) + 1)}=`;
  assert.deepEqual(fromBase64(spelled), fromBase64(mac));
  assert.equal(
    codeOf(() => openAll(sealed, Buffer.from(text.replace(mac, spelled)))),
    'keystore.damaged',
  );
});
