import assert from 'node:assert/strict';
import { closeSync, linkSync, openSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { generateSoftwareKey, randomBytes, verifySignature } from '@keystead/core/crypto';
import { createSealedKeystore, type Keystore, openSealedKeystore } from '../index.ts';
import { clock, inTemporaryDirectory, phrase } from './support.ts';

const PASSPHRASE = 'correct horse battery staple';
const ALGORITHMS = ['P-256', 'P-384', 'Ed25519', 'RSA-3072'] as const;

/** A keystore with one key of each kind under its own name, closed. */
async function sealedFile(dir: string, fips = false): Promise<string> {
  const path = join(dir, 'keystore.sealed');
  const keystore = await createSealedKeystore(path, phrase(PASSPHRASE), clock, { fips });
  for (const algorithm of ALGORITHMS) await keystore.generate(algorithm, algorithm, `test of ${algorithm}`);
  keystore.close();
  return path;
}
const open = (path: string, passphrase = PASSPHRASE): Promise<Keystore> =>
  openSealedKeystore(path, phrase(passphrase), clock);

for (const fips of [false, true]) {
  test(`keys survive closing and opening and sign as before (${fips ? 'PBKDF2, as in FIPS mode' : 'Argon2id'})`, async () => {
    await inTemporaryDirectory(async (dir) => {
      const path = await sealedFile(dir, fips);
      const keystore = await open(path);
      assert.deepEqual(
        keystore
          .list()
          .map(({ id, algorithm, purpose, createdAt, custody, fips140 }) => [
            id,
            algorithm,
            purpose,
            createdAt,
            custody,
            fips140,
          ]),
        ALGORITHMS.map((name) => [name, name, `test of ${name}`, '2026-03-01T10:00:00.000Z', 'sealed-file', 'none']),
      );
      for (const { id, algorithm, spki } of keystore.list()) {
        const signer = keystore.signer(id);
        assert.deepEqual([signer.keyAlgorithm, signer.spki], [algorithm, spki]);
        const data = randomBytes(40);
        assert.equal(verifySignature(signer.signatureAlgorithm, spki, data, await signer.sign(data)), true);
      }
      const { header } = JSON.parse(readFileSync(path, 'utf8'));
      assert.equal(header.kdf.kdf, fips ? 'pbkdf2-hmac-sha256' : 'argon2id');
      keystore.close();
    });
  });
}

test('the file is for its owner only, and stays so', async () => {
  await inTemporaryDirectory(async (dir) => {
    const before = process.umask(0);
    try {
      const path = join(dir, 'keystore.sealed');
      const keystore = await createSealedKeystore(path, phrase(PASSPHRASE), clock);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      await keystore.generate('a', 'Ed25519', '');
      assert.equal(statSync(path).mode & 0o777, 0o600);
      assert.deepEqual(readdirSync(dir), ['keystore.sealed']);
    } finally {
      process.umask(before);
    }
  });
});

test('a wrong passphrase opens nothing and is named as that', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = await sealedFile(dir);
    for (const wrong of ['correct horse battery stapl', `${PASSPHRASE}\n`, 'x']) {
      await assert.rejects(open(path, wrong), { code: 'keystore.wrong-passphrase', kind: 'unauthenticated' });
    }
    await assert.rejects(open(path, ''), { code: 'kdf.passphrase-empty' });
  });
});

test('a missing keystore is named as that, and an existing one is never overwritten', async () => {
  await inTemporaryDirectory(async (dir) => {
    await assert.rejects(open(join(dir, 'none')), { code: 'keystore.missing' });
    const path = await sealedFile(dir);
    const before = readFileSync(path);
    await assert.rejects(createSealedKeystore(path, phrase('another'), clock), { code: 'keystore.exists' });
    assert.deepEqual(readFileSync(path), before);
  });
});

test('a destroyed key is gone from the file, from memory, and from the blocks that the old file had', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = await sealedFile(dir);
    const keystore = await open(path);
    const signer = keystore.signer('P-256');
    await signer.sign(randomBytes(4));
    const sealed = JSON.parse(readFileSync(path, 'utf8')).keys[0].sealed;
    // Still open after the file has lost its name, as a disk's blocks are still there.
    const old = openSync(path, 'r');
    await keystore.destroy('P-256');
    const blocks = readFileSync(old);
    closeSync(old);
    assert.deepEqual(new Uint8Array(blocks), new Uint8Array(blocks.length));
    assert.ok(blocks.length > 1000);
    await assert.rejects(signer.sign(randomBytes(4)), { code: 'keystore.key-missing' });
    assert.throws(() => keystore.signer('P-256'), { code: 'keystore.key-missing' });
    await assert.rejects(keystore.destroy('P-256'), { code: 'keystore.key-missing' });
    assert.equal(readFileSync(path, 'utf8').includes(sealed), false);
    keystore.close();
    const again = await open(path);
    assert.deepEqual(
      again.list().map(({ id }) => id),
      ['P-384', 'Ed25519', 'RSA-3072'],
    );
  });
});

test('a backup by hard link keeps its content when a key is destroyed', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = await sealedFile(dir);
    linkSync(path, join(dir, 'backup'));
    const before = readFileSync(path);
    const keystore = await open(path);
    await keystore.destroy('P-384');
    assert.deepEqual(readFileSync(join(dir, 'backup')), before);
  });
});

test('a closed keystore signs nothing, not by signers given out before either', async () => {
  await inTemporaryDirectory(async (dir) => {
    const keystore = await open(await sealedFile(dir));
    const signer = keystore.signer('P-256');
    keystore.close();
    keystore.close();
    await assert.rejects(signer.sign(randomBytes(4)), { code: 'keystore.closed' });
    assert.throws(() => keystore.signer('P-256'), { code: 'keystore.closed' });
    await assert.rejects(keystore.generate('b', 'P-256', ''), { code: 'keystore.closed' });
    await assert.rejects(keystore.destroy('P-256'), { code: 'keystore.closed' });
  });
});

test('an id stands once, and only plain ids stand at all', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = await sealedFile(dir);
    const keystore = await open(path);
    const before = readFileSync(path);
    await assert.rejects(keystore.generate('P-256', 'P-256', ''), { code: 'keystore.key-exists' });
    for (const id of ['', 'a b', '../a', 'a'.repeat(65), 'ä']) {
      await assert.rejects(keystore.generate(id, 'P-256', ''), { code: 'keystore.key-malformed' });
    }
    await assert.rejects(keystore.generate('a', 'P-256', 'x'.repeat(201)), { code: 'keystore.key-malformed' });
    assert.deepEqual(readFileSync(path), before);
  });
});

test('of two processes that change one keystore, the second is refused and loses nothing of the first', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = await sealedFile(dir);
    const [one, two] = [await open(path), await open(path)];
    await one.generate('first', 'Ed25519', '');
    await assert.rejects(two.generate('second', 'Ed25519', ''), { code: 'keystore.changed' });
    await assert.rejects(two.destroy('P-256'), { code: 'keystore.changed' });
    assert.throws(() => two.signer('second'), { code: 'keystore.key-missing' });
    assert.deepEqual(
      (await open(path)).list().map(({ id }) => id),
      [...ALGORITHMS, 'first'],
    );
  });
});

test('keys made at the same time are all there', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'keystore.sealed');
    const keystore = await createSealedKeystore(path, phrase(PASSPHRASE), clock);
    await Promise.all(['a', 'b', 'c', 'd'].map((id) => keystore.generate(id, 'Ed25519', '')));
    assert.equal((await open(path)).list().length, 4);
  });
});

test('no private key is to be had from a keystore: not by any member, not by printing', async () => {
  await inTemporaryDirectory(async (dir) => {
    const keystore = await open(await sealedFile(dir));
    const members = new Set(Object.getOwnPropertyNames(Object.getPrototypeOf(keystore)));
    const deriving = ['derivingKeys', 'generateDeriving', 'deriver'];
    assert.deepEqual(members, new Set(['constructor', 'list', 'generate', 'signer', ...deriving, 'destroy', 'close']));
    assert.deepEqual(Object.keys(keystore), []);
    const printed =
      inspect([keystore, keystore.signer('P-256')], { depth: 9, showHidden: true }) + JSON.stringify(keystore);
    assert.doesNotMatch(printed, /PrivateKey|KeyObject|pkcs8/i);
  });
});

test('no private key stands in the file in the clear, in any spelling', async () => {
  // The first bytes of each PKCS#8 key are the same for all keys of its kind; in hex or base64 they would show too.
  await inTemporaryDirectory(async (dir) => {
    const file = readFileSync(await sealedFile(dir));
    const { keys } = JSON.parse(file.toString());
    const everything = Buffer.concat([
      file,
      ...keys.map(({ sealed }: { sealed: string }) => Buffer.from(sealed, 'base64')),
    ]);
    for (const algorithm of ALGORITHMS) {
      const start = generateSoftwareKey(algorithm).pkcs8.use((der) => Buffer.from(der.subarray(3, 15)));
      for (const spelling of [start, Buffer.from(start.toString('hex')), Buffer.from(start.toString('base64'))]) {
        assert.equal(everything.includes(spelling), false, algorithm);
      }
    }
    assert.equal(everything.includes(PASSPHRASE), false);
  });
});

test('what a killed write left beside the file is removed at the next opening', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = await sealedFile(dir);
    writeFileSync(join(dir, '.keystore.sealed.0123456789abcdef.tmp'), 'half');
    (await open(path)).close();
    assert.deepEqual(readdirSync(dir), ['keystore.sealed']);
  });
});
