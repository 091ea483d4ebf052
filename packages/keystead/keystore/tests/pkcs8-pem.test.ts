import assert from 'node:assert/strict';
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { generateSoftwareKey, publicKeyOf } from '@keystead/core/crypto';
import { readSealedPkcs8Pem, writeSealedPkcs8Pem } from '../index.ts';
import { inTemporaryDirectory, phrase, run } from './support.ts';

const PASSPHRASE = 'correct horse';

test('openssl reads the key from the PEM file with the passphrase, and not without', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'key.pem');
    const { pkcs8, spki } = generateSoftwareKey('P-256');
    await writeSealedPkcs8Pem(path, pkcs8, phrase(PASSPHRASE));
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(
      run('openssl', ['pkey', '-in', path, '-passin', `pass:${PASSPHRASE}`, '-pubout']),
      toPem('PUBLIC KEY', spki),
    );
    assert.throws(() => run('openssl', ['pkey', '-in', path, '-passin', 'pass:wrong', '-pubout']));
    assert.match(readFileSync(path, 'utf8'), /^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/);
  });
});

test('certtool of GnuTLS reads the key too', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'key.pem');
    const { pkcs8, spki } = generateSoftwareKey('P-256');
    await writeSealedPkcs8Pem(path, pkcs8, phrase(PASSPHRASE));
    const theirs = run('certtool', ['--load-privkey', path, '--password', PASSPHRASE, '--pubkey-info']);
    assert.ok(theirs.includes(toPem('PUBLIC KEY', spki)));
  });
});

test('what was written is read back; what openssl wrote is read too', async () => {
  await inTemporaryDirectory(async (dir) => {
    const [ours, theirs, plain] = [join(dir, 'ours.pem'), join(dir, 'theirs.pem'), join(dir, 'plain.pem')];
    const { pkcs8, spki } = generateSoftwareKey('P-384');
    await writeSealedPkcs8Pem(ours, pkcs8, phrase(PASSPHRASE));
    const opened = readSealedPkcs8Pem(ours, phrase(PASSPHRASE));
    assert.equal(opened.algorithm, 'P-384');
    assert.deepEqual(publicKeyOf('P-384', opened.pkcs8), spki);

    run('openssl', ['genpkey', '-algorithm', 'ED25519', '-out', plain]);
    run('openssl', ['pkcs8', '-topk8', '-in', plain, '-out', theirs, '-passout', `pass:${PASSPHRASE}`]);
    assert.equal(readSealedPkcs8Pem(theirs, phrase(PASSPHRASE)).algorithm, 'Ed25519');
  });
});

test('a wrong passphrase, a missing file, a clear key and a damaged file are each refused by name', async () => {
  await inTemporaryDirectory(async (dir) => {
    const path = join(dir, 'key.pem');
    assert.throws(() => readSealedPkcs8Pem(path, phrase(PASSPHRASE)), { code: 'keystore.missing' });
    const { pkcs8 } = generateSoftwareKey('P-256');
    await writeSealedPkcs8Pem(path, pkcs8, phrase(PASSPHRASE));
    assert.throws(() => readSealedPkcs8Pem(path, phrase('wrong')), { code: 'key.not-opened' });
    const text = readFileSync(path, 'utf8');
    chmodSync(path, 0o600);
    for (const bad of [
      '',
      'hello',
      pkcs8.use((der) => toPem('PRIVATE KEY', der)),
      text + text,
      text.replace(/\n[^-]{10}/, '\n***'),
    ]) {
      writeFileSync(path, bad);
      assert.throws(() => readSealedPkcs8Pem(path, phrase(PASSPHRASE)), { code: 'key.malformed' });
    }
    await assert.rejects(writeSealedPkcs8Pem(path, pkcs8, phrase('')), { code: 'kdf.passphrase-empty' });
  });
});
