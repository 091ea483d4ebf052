import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { opensslKdf, shown } from '../../../core/crypto/tests/support.ts';
import { systemClock } from '../../clock/system.ts';
import { canDerive, createSealedKeystore, type DerivingKeystore, openSealedKeystore } from '../index.ts';
import { SoftHsm } from '../pkcs11/tests/softhsm.ts';
import { parseSealedFile } from '../sealed-format.ts';
import { Sealing } from '../sealing.ts';

const label = Buffer.from('keystead device key 2 telemetry');
const context = Buffer.from('00000001abcdef', 'hex');
const phrase = () => SecretBytes.copy(Buffer.from('the passphrase'));

let dir: string;
let hsm: SoftHsm;
before(() => {
  dir = mkdtempSync(join(tmpdir(), 'keystead-deriving-'));
  hsm = new SoftHsm('one');
});
after(() => {
  rmSync(dir, { recursive: true, force: true });
  hsm.remove();
});

const codeIs = (code: string) => (error: unknown) => error instanceof KeysteadError && error.code === code;

async function sealed(name: string): Promise<{ path: string; store: DerivingKeystore }> {
  const path = join(dir, name);
  const store = await createSealedKeystore(path, phrase(), systemClock);
  assert.ok(canDerive(store));
  return { path, store };
}

test('TEST-KEY-04: a sealed master derives what openssl kdf derives from it, the same after it was opened again, and keys that sign stay what they were', async () => {
  const { path, store } = await sealed('a.sealed');
  const signs = await store.generate('signs', 'P-256', 'signs');
  const info = await store.generateDeriving('master.1', 'master of device keys');
  assert.deepEqual([info.algorithm, info.custody], ['HMAC-SHA256', 'sealed-file']);
  using first = await store.deriver('master.1').derive(label, context, 32);
  store.close();
  const opened = await openSealedKeystore(path, phrase(), systemClock);
  assert.ok(canDerive(opened));
  assert.deepEqual(opened.list(), [signs]);
  assert.deepEqual(opened.derivingKeys(), [info]);
  using again = await opened.deriver('master.1').derive(label, context, 32);
  assert.equal(shown(again), shown(first));
  opened.close();
  // The master, taken out of the file with the passphrase, in openssl.
  const file = parseSealedFile(readFileSync(path));
  const sealing = await Sealing.fromPassphrase(file.header, phrase());
  const found = file.keys.find(({ id }) => id === 'master.1');
  assert.ok(found);
  const hexkey = shown(sealing.open(found));
  const options = { mac: 'HMAC', digest: 'SHA256', mode: 'counter', hexkey };
  const hexes = { hexsalt: label.toString('hex'), hexinfo: context.toString('hex') };
  assert.equal(shown(first), opensslKdf('KBKDF', 32, { ...options, ...hexes }));
});

test('TEST-KEY-11: a master in a sealed file is one name like any other: it cannot be made twice, changed, taken for a key that signs, or used after its end', async () => {
  const { path, store } = await sealed('b.sealed');
  await store.generateDeriving('master.1', 'm');
  await assert.rejects(store.generateDeriving('master.1', 'm'), codeIs('keystore.key-exists'));
  await assert.rejects(store.generate('master.1', 'P-256', 'm'), codeIs('keystore.key-exists'));
  assert.throws(() => store.signer('master.1'), codeIs('keystore.key-missing'));
  const deriver = store.deriver('master.1');
  await assert.rejects(deriver.derive(label, context, 33), codeIs('kdf.length'));
  await assert.rejects(deriver.derive(Buffer.of(0), context, 32), codeIs('kdf.label-malformed'));
  const whole = readFileSync(path, 'utf8');
  await store.destroy('master.1');
  await assert.rejects(deriver.derive(label, context, 32), codeIs('keystore.key-missing'));
  assert.ok(!readFileSync(path, 'utf8').includes('master.1'));
  store.close();
  await assert.rejects(store.generateDeriving('master.2', 'm'), codeIs('keystore.closed'));
  const other = join(dir, 'c.sealed');
  writeFileSync(other, whole.replace('"HMAC-SHA256"', '"P-256"'));
  await assert.rejects(openSealedKeystore(other, phrase(), systemClock), codeIs('keystore.damaged'));
});

test('TEST-KEY-04 TEST-KEY-11: a master on a token derives there, is sensitive and never extractable, and is another for each name', async () => {
  const store = await hsm.open();
  try {
    const info = await store.generateDeriving('diversify.telemetry.1', 'master of device keys');
    assert.deepEqual([info.algorithm, info.custody], ['HMAC-SHA256', 'pkcs11']);
    const { evidence = {} } = info;
    assert.deepEqual(
      [evidence.CKA_SENSITIVE, evidence.CKA_EXTRACTABLE, evidence.CKA_NEVER_EXTRACTABLE, evidence.CKA_SIGN],
      [true, false, true, true],
    );
    using one = await store.deriver('diversify.telemetry.1').derive(label, context, 32);
    using short = await store.deriver('diversify.telemetry.1').derive(label, context, 16);
    assert.notEqual(shown(one).slice(0, 32), shown(short));
    assert.throws(() => store.signer('diversify.telemetry.1'), codeIs('keystore.key-missing'));
    const { text } = hsm.tool('one', '--list-objects', '--type', 'secrkey');
    assert.match(text, /diversify\.telemetry\.1[\s\S]*sensitive[\s\S]*never extractable/);
    // Another program computes the block on the token: counter, label, 0x00, context, length in bits.
    const block = Buffer.concat([Buffer.of(0, 0, 0, 1), label, Buffer.of(0), context, Buffer.of(0, 0, 1, 0)]);
    writeFileSync(join(dir, 'block'), block);
    const files = ['--input-file', join(dir, 'block'), '--output-file', join(dir, 'mac')];
    const signed = hsm.tool(
      'one',
      '--sign',
      '--mechanism',
      'SHA256-HMAC',
      '--label',
      'diversify.telemetry.1',
      ...files,
    );
    assert.equal(signed.status, 0, signed.text);
    assert.equal(readFileSync(join(dir, 'mac')).toString('hex'), shown(one));
    // Not before: pkcs11-tool takes any secret key of a token, whatever label it is told.
    await store.generateDeriving('diversify.telemetry.2', 'master of device keys');
    using two = await store.deriver('diversify.telemetry.2').derive(label, context, 32);
    assert.notEqual(shown(one), shown(two));
  } finally {
    store.close();
  }
  const again = await hsm.open();
  assert.deepEqual(
    again.derivingKeys().map(({ id }) => id),
    ['diversify.telemetry.1', 'diversify.telemetry.2'],
  );
  await again.destroy('diversify.telemetry.1');
  assert.throws(() => again.deriver('diversify.telemetry.1'), codeIs('keystore.key-missing'));
  again.close();
});
