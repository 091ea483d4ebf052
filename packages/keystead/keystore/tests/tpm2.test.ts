import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fromBase64, sameBytes } from '@keystead/core/bytes';
import { generateSoftwareKey, verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { decodePublic, Tpm, verifyCertify } from '@keystead/tpm2';
import fc from 'fast-check';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { readKeystoreFile } from '../config.ts';
import type { KeyInfo } from '../keystore.ts';
import { canAgree, canDerive, createKeystore, derivingPart, openKeystore } from '../open.ts';
import { parseTpmKeystore } from '../tpm2/file.ts';
import { createTpm2Keystore, openTpm2Keystore, type Tpm2KeystoreConfig } from '../tpm2/index.ts';
import { clock, inTemporaryDirectory, phrase } from './support.ts';

let swtpm: Swtpm;
before(async () => {
  swtpm = await Swtpm.start({ certificates: true });
});
after(() => swtpm.stop());

const configOf = (dir: string, tpm = swtpm.address): Tpm2KeystoreConfig => ({
  version: 1,
  make: 'tpm2',
  path: join(dir, 'keystore.tpm2'),
  tpm,
});

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

const DATA = Buffer.from('to be signed');

test('TEST-KEY-11: keys in a TPM sign, survive a reopening and a reboot, and carry what the TPM says of them', () =>
  inTemporaryDirectory(async (dir) => {
    const config = configOf(dir);
    const keystore = await createTpm2Keystore(config, clock);
    const made: KeyInfo[] = [];
    for (const algorithm of ['P-256', 'P-384', 'RSA-3072'] as const) {
      made.push(await keystore.generate(`key-${algorithm}`, algorithm, `a ${algorithm} key`));
    }
    assert.equal(statSync(config.path).mode & 0o777, 0o600);
    keystore.close();
    await swtpm.end();
    await swtpm.boot();
    const opened = await openTpm2Keystore(config, clock);
    assert.deepEqual(opened.list(), made);
    for (const { id, spki, custody, fips140, evidence = {} } of opened.list()) {
      const signer = opened.signer(id);
      assert.ok(verifySignature(signer.signatureAlgorithm, spki, DATA, await signer.sign(DATA)), id);
      assert.equal(custody, 'tpm2');
      assert.equal(fips140, 'TPM 2.0 IBM SWTPM 8217.4131.22.13878, not in FIPS mode by its own word');
      for (const name of ['fixedTPM', 'fixedParent', 'sensitiveDataOrigin', 'userWithAuth', 'noDA', 'sign']) {
        assert.equal(evidence[name], true, name);
      }
      for (const name of ['restricted', 'decrypt', 'encryptedDuplication', 'stClear'])
        assert.equal(evidence[name], false);
      assert.match(String(evidence.ekCertificateSha256), /^[0-9a-f]{64}$/);
    }
    opened.close();
  }));

test("TEST-KEY-11: an auditor verifies from the evidence alone that the TPM's attestation key certified the key", () =>
  inTemporaryDirectory(async (dir) => {
    const keystore = await createTpm2Keystore(configOf(dir), clock);
    const { evidence = {} } = await keystore.generate('ca', 'P-384', 'a CA');
    keystore.close();
    const part = (name: string): Uint8Array => fromBase64(String(evidence[name]));
    const ak = decodePublic(part('attestationKey'));
    const [key] = parseTpmKeystore(readFileSync(configOf(dir).path)).keys;
    assert.ok(key !== undefined && ak.type !== 'sealed');
    const statement = { attest: part('certifyInfo'), signature: part('certifySignature') };
    verifyCertify(statement, ak, part('certifyNonce'), key.blob.area);
  }));

test('a key that agrees does so as RFC 5903 has it, and does not sign; one that signs does not agree', () =>
  inTemporaryDirectory(async (dir) => {
    const keystore = await createTpm2Keystore(configOf(dir), clock);
    await keystore.generateAgreement('transport', 'P-256', 'what is encrypted to this machine');
    await keystore.generate('signer', 'P-256', 'signs');
    const { spki } = generateSoftwareKey('P-256');
    const key = keystore.agreement('transport');
    const [one, two] = [await key.agree(spki), await key.agree(spki)];
    assert.equal(one.length, 32);
    assert.ok(one.use((a) => two.use((b) => sameBytes(a, b))));
    assert.throws(() => keystore.signer('transport'), fails('keystore.key-missing', /does not sign/));
    assert.throws(() => keystore.agreement('signer'), fails('keystore.key-missing', /does not agree/));
    await assert.rejects(key.agree(generateSoftwareKey('P-384').spki), fails('key.algorithm-mismatch'));
    keystore.close();
  }));

test('what a TPM cannot make is refused by name, with what it can, and nothing is written', () =>
  inTemporaryDirectory(async (dir) => {
    const config = configOf(dir);
    const keystore = await createTpm2Keystore(config, clock);
    const before = readFileSync(config.path);
    await assert.rejects(keystore.generate('log', 'Ed25519', 'the log'), (error) => {
      fails('tpm2.unsupported', /Ed25519; the TPM IBM SWTPM makes P-256, P-384/)(error);
      assert.match((error as KeysteadError).remedy ?? '', /sealed file/);
      return true;
    });
    await assert.rejects(
      keystore.generate('big', 'RSA-4096', 'too big for swtpm'),
      fails('tpm2.unsupported', /RSA-4096/),
    );
    await assert.rejects(keystore.generate('no blanks', 'P-256', ''), fails('keystore.key-malformed'));
    await assert.rejects(keystore.generate('long', 'P-256', 'x'.repeat(201)), fails('keystore.key-malformed'));
    assert.deepEqual(readFileSync(config.path), before);
    keystore.close();
  }));

test('an id stands once, also when it is asked for twice at the same time', () =>
  inTemporaryDirectory(async (dir) => {
    const keystore = await createTpm2Keystore(configOf(dir), clock);
    const asked = await Promise.allSettled([1, 2, 3].map(() => keystore.generate('ca', 'P-256', 'a CA')));
    assert.deepEqual(asked.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected']);
    assert.equal(keystore.list().length, 1);
    await assert.rejects(keystore.generate('ca', 'P-256', 'again'), fails('keystore.key-exists'));
    keystore.close();
  }));

test('TEST-KEY-24: a destroyed key is in no file, its signer refuses, and the TPM holds nothing of it', () =>
  inTemporaryDirectory(async (dir) => {
    const config = configOf(dir);
    const keystore = await createTpm2Keystore(config, clock);
    await keystore.generate('kept', 'P-256', 'stays');
    await keystore.generate('gone', 'P-256', 'goes');
    const signer = keystore.signer('gone');
    const [, gone] = parseTpmKeystore(readFileSync(config.path)).keys;
    await keystore.destroy('gone');
    await assert.rejects(signer.sign(DATA), fails('keystore.key-missing'));
    await assert.rejects(keystore.destroy('gone'), fails('keystore.key-missing'));
    assert.ok(!readFileSync(config.path, 'utf8').includes(Buffer.from(gone?.blob.wrapped ?? []).toString('base64')));
    assert.deepEqual(
      keystore.list().map(({ id }) => id),
      ['kept'],
    );
    keystore.close();
    assert.equal(swtpm.tool('tpm2_getcap', 'handles-transient').trim(), '');
    assert.equal(swtpm.tool('tpm2_getcap', 'handles-loaded-session').trim(), '');
  }));

test('a closed keystore does nothing more; a file that another process changed is not written over', () =>
  inTemporaryDirectory(async (dir) => {
    const config = configOf(dir);
    const one = await createTpm2Keystore(config, clock);
    await one.generate('first', 'P-256', '');
    const two = await openTpm2Keystore(config, clock);
    await one.generate('second', 'P-256', '');
    await assert.rejects(two.generate('third', 'P-256', ''), fails('keystore.changed'));
    assert.equal(parseTpmKeystore(readFileSync(config.path)).keys.length, 2);
    const signer = one.signer('first');
    one.close();
    two.close();
    one.close();
    await assert.rejects(signer.sign(DATA), fails('keystore.closed'));
    await assert.rejects(one.generate('fourth', 'P-256', ''), fails('keystore.closed'));
    assert.throws(() => one.signer('first'), fails('keystore.closed'));
  }));

test('a file of another TPM, a damaged one, none, and one too many are each told apart', () =>
  inTemporaryDirectory(async (dir) => {
    const config = configOf(dir);
    await assert.rejects(openTpm2Keystore(config, clock), fails('keystore.missing'));
    const keystore = await createTpm2Keystore(config, clock);
    await keystore.generate('ca', 'P-256', 'a CA');
    keystore.close();
    await assert.rejects(createTpm2Keystore(config, clock), fails('keystore.exists'));
    const bytes = readFileSync(config.path);
    const other = await Swtpm.start();
    try {
      await assert.rejects(openTpm2Keystore(configOf(dir, other.address), clock), fails('tpm2.other-tpm'));
    } finally {
      await other.stop();
    }
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Uint8Array.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ change;
        assert.throws(() => parseTpmKeystore(changed), fails('keystore.damaged'));
        assert.throws(() => parseTpmKeystore(bytes.subarray(0, at)), fails('keystore.damaged'));
      }),
      { numRuns: 200 },
    );
    writeFileSync(config.path, bytes.subarray(1));
    await assert.rejects(openTpm2Keystore(config, clock), fails('keystore.damaged'));
  }));

test('a TPM that is away refuses what is asked for and loses nothing; when it is back, all goes on', () =>
  inTemporaryDirectory(async (dir) => {
    const own = await Swtpm.start();
    try {
      const config = configOf(dir, own.address);
      const keystore = await createTpm2Keystore(config, clock);
      const { spki } = await keystore.generate('ca', 'P-256', 'a CA');
      const signer = keystore.signer('ca');
      const before = readFileSync(config.path);
      await own.end();
      await assert.rejects(signer.sign(DATA), fails('tpm2.unavailable'));
      await assert.rejects(keystore.generate('next', 'P-256', ''), fails('tpm2.unavailable'));
      assert.deepEqual(readFileSync(config.path), before);
      await own.boot();
      assert.ok(verifySignature('ecdsa-with-SHA256', spki, DATA, await signer.sign(DATA)));
      await keystore.generate('next', 'P-256', '');
      own.tool('tpm2_clear', '-c', 'l');
      await assert.rejects(signer.sign(DATA), fails('tpm2.other-tpm'));
      keystore.close();
    } finally {
      await own.stop();
    }
  }));

test('TEST-KEY-01: when the generator of the TPM gets stuck, it makes no more keys', () =>
  inTemporaryDirectory(async (dir) => {
    let stuck = false;
    const path = join(dir, 'between');
    const between = createServer((socket) => {
      socket.on('error', () => undefined);
      const inner = createConnection(swtpm.socket);
      inner.on('error', () => undefined);
      socket.on('close', () => inner.destroy());
      socket.on('data', (command) => {
        const random = command.readUInt32BE(6) === 0x17b;
        inner.once('data', (answer) => socket.write(random && stuck ? answer.fill(0x42, 12) : answer));
        inner.write(command);
      });
    });
    await new Promise<void>((resolve) => between.listen(path, resolve));
    try {
      const config = configOf(dir, `unix:${path}`);
      const keystore = await createTpm2Keystore(config, clock);
      await keystore.generate('good', 'P-256', '');
      const before = readFileSync(config.path);
      stuck = true;
      await assert.rejects(keystore.generate('bad', 'P-256', ''), fails('rng.unhealthy', /repetition count/));
      stuck = false;
      // A source that failed once is not trusted again.
      await assert.rejects(keystore.generate('bad', 'P-256', ''), fails('rng.unhealthy'));
      assert.deepEqual(readFileSync(config.path), before);
      keystore.close();
      stuck = true;
      await assert.rejects(openTpm2Keystore(config, clock), fails('rng.unhealthy'));
    } finally {
      await new Promise((resolve) => between.close(resolve));
    }
  }));

test('keystore.json names it: with a sealed file beside it for what a TPM cannot have', () =>
  inTemporaryDirectory(async (dir) => {
    const file = join(dir, 'keystore.json');
    const json = { version: 1, make: 'tpm2', path: 'keys', tpm: swtpm.address, sealed: 'others' };
    writeFileSync(file, JSON.stringify(json));
    const config = readKeystoreFile(file, dir);
    using secret = phrase('the passphrase of the others');
    const keystore = await createKeystore(config, secret, clock);
    await keystore.generate('ca', 'P-384', 'a CA');
    await keystore.generate('log', 'Ed25519', 'the log');
    await assert.rejects(keystore.generate('log', 'P-256', ''), fails('keystore.key-exists'));
    keystore.close();
    const opened = await openKeystore(config, secret, clock);
    assert.ok(canAgree(opened));
    assert.deepEqual(
      opened.list().map(({ id, custody }) => [id, custody]),
      [
        ['ca', 'tpm2'],
        ['log', 'sealed-file'],
      ],
    );
    for (const { id, spki } of opened.list()) {
      const signer = opened.signer(id);
      assert.ok(verifySignature(signer.signatureAlgorithm, spki, DATA, await signer.sign(DATA)), id);
    }
    await opened.destroy('log');
    assert.deepEqual(
      opened.list().map(({ id }) => id),
      ['ca'],
    );
    // Keys of devices are derived in no TPM and not beside one; what seals serve's TLS keys is in the file.
    assert.equal(canDerive(opened), false);
    assert.equal((await derivingPart(opened)?.generateDeriving('serve-tls.1', 'seals'))?.custody, 'sealed-file');
    opened.close();
    const again = await openKeystore(config, secret, clock);
    assert.deepEqual(
      derivingPart(again)
        ?.derivingKeys()
        .map(({ id }) => id),
      ['serve-tls.1'],
    );
    again.close();
    using wrong = phrase('another passphrase');
    await assert.rejects(openKeystore(config, wrong, clock), fails('keystore.wrong-passphrase'));
    // A kill between the two files: the sealed one is there, the TPM's is not.
    rmSync(join(dir, 'keys'));
    (await createKeystore(config, secret, clock)).close();
  }));

test('after all of this the TPM holds no object and no session of ours', async () => {
  await using tpm = await Tpm.open(swtpm.address);
  assert.equal((await tpm.info()).manufacturer, 'IBM');
  assert.equal(swtpm.tool('tpm2_getcap', 'handles-transient').trim(), '');
  assert.equal(swtpm.tool('tpm2_getcap', 'handles-loaded-session').trim(), '');
});
