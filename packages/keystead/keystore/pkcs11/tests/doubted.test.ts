import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { generateSoftwareKey, SecretBytes, verifySignature } from '@keystead/core/crypto';
import { objectIdOf } from '@keystead/pkcs11/record.ts';
import { TokenSession } from '@keystead/pkcs11/thread/session.ts';
import { wrap } from '@keystead/pkcs11/thread/wrap.ts';
import type { AgreementKeystore, WrappingKeystore } from '../../keystore.ts';
import { PIN, SOFTHSM, SoftHsm } from './softhsm.ts';

/** What a token, or others who write to it, may show that is not so; and two programs that make one key. */
const DATA = Buffer.from('what is signed', 'utf8');
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let hsm: SoftHsm;
let keystore: AgreementKeystore & WrappingKeystore;
before(() => {
  hsm = new SoftHsm('one');
  hsm.faulty();
});
afterEach(() => {
  hsm.well();
  keystore?.close();
});
after(() => hsm.remove());

async function open(more: object = {}): Promise<AgreementKeystore & WrappingKeystore> {
  keystore = await hsm.open({ module: hsm.faulty(), sessions: 1, callSeconds: 100, ...more });
  return keystore;
}

async function signs(id: string): Promise<void> {
  const signer = keystore.signer(id);
  assert.ok(verifySignature('ecdsa-with-SHA256', signer.spki, DATA, await signer.sign(DATA)));
}

/** Another public key in the place of the one that belongs to `id`. */
function replacePublicHalf(id: string): void {
  const { spki, pkcs8 } = generateSoftwareKey('P-256');
  pkcs8.wipe();
  const file = join(hsm.dir, 'other.der');
  writeFileSync(file, spki);
  const named = ['--type', 'pubkey', '--id', toHex(objectIdOf(id))];
  assert.equal(hsm.tool('one', '--delete-object', ...named).status, 0);
  assert.equal(hsm.tool('one', '--write-object', file, '--label', id, ...named).status, 0);
}

for (const use of ['signs', 'agrees'] as const) {
  test(`TEST-KEY-11: a key that ${use} and whose public half somebody has exchanged on the token is found when it is opened`, async () => {
    await open();
    if (use === 'signs') await keystore.generate(use, 'P-256', 'a test');
    else await keystore.generateAgreement(use, 'P-256', 'a test');
    keystore.close();
    await open();
    keystore.close();
    replacePublicHalf(use);
    await assert.rejects(open(), { code: 'key.inconsistent', field: `key ${use}`, remedy: /who else writes/ });
    for (const type of ['privkey', 'pubkey', 'data'])
      hsm.tool(
        'one',
        '--delete-object',
        '--type',
        type,
        ...(type === 'data' ? ['--label', use] : ['--id', toHex(objectIdOf(use))]),
      );
    assert.doesNotMatch(hsm.tool('one', '--list-objects').text, new RegExp(use));
  });
}

test('a secret that a token shows as empty is none: not of an agreement, not of one that is tried, not unwrapped', async () => {
  await open();
  await keystore.generateAgreement('agrees', 'P-256', 'a test');
  await keystore.generateWrapping('wraps', 'a test');
  const agreement = keystore.agreement('agrees');
  const wrapper = keystore.wrapper('wraps');
  const { spki, pkcs8 } = generateSoftwareKey('P-256');
  pkcs8.wipe();
  using secret = SecretBytes.random(32);
  const wrapped = await wrapper.wrap(secret);
  hsm.fault('value', 'empty');
  const refused = { code: 'keystore.token-failed', seen: '0 bytes, where it has 32' };
  await assert.rejects(agreement.agree(spki), refused);
  await assert.rejects(wrapper.unwrap(wrapped), refused);
  await assert.rejects(keystore.generateAgreement('more', 'P-256', 'a test'), refused);
  hsm.fault('value');
  for (const id of ['agrees', 'wraps']) await keystore.destroy(id);
});

test('an ECDSA signature of another length than the curve has does not leave, be it the first or a later one', async () => {
  await open();
  await keystore.generate('short', 'P-256', 'a test');
  await signs('short');
  hsm.fault('signature', 'short');
  await assert.rejects(keystore.signer('short').sign(DATA), {
    code: 'keyd.signature-faulty',
    seen: '62 bytes of P-256',
  });
  hsm.fault('signature');
  await keystore.destroy('short');
});

test('a key that was destroyed and made again is another one in every session, without connecting again', async () => {
  await open({ sessions: 2 });
  const all = async (): Promise<void> => {
    await Promise.all(Array.from({ length: 100 }, () => signs('again')));
  };
  await keystore.generate('again', 'P-256', 'a test');
  await all();
  await keystore.destroy('again');
  await keystore.generate('again', 'P-256', 'a test');
  const opened = hsm.calls('C_OpenSession');
  await all();
  assert.equal(hsm.calls('C_OpenSession'), opened);
  await keystore.destroy('again');
});

test('a secret that could not be wrapped is zeroed where the thread got it', () => {
  const secret = new SharedArrayBuffer(32);
  new Uint8Array(secret).fill(7);
  const key = { objectId: objectIdOf('none'), algorithm: 'AES-256' } as const;
  assert.throws(() => wrap(new TokenSession(hsm.config()), { kind: 'wrap', key, secret }), /SESSION_HANDLE_INVALID/);
  assert.deepEqual(new Uint8Array(secret), new Uint8Array(32));
});

test('a key whose record another program has cleared away while it was made is not acknowledged, and does not stay', async () => {
  await open();
  hsm.fault('C_GenerateKeyPair.after', 'hold');
  const calls = hsm.calls('C_GenerateKeyPair.after');
  const made = keystore.generate('cleared', 'P-256', 'a test');
  made.catch(() => {});
  while (hsm.calls('C_GenerateKeyPair.after') === calls) await pause(5);
  assert.equal(hsm.tool('one', '--delete-object', '--type', 'data', '--label', 'cleared').status, 0);
  hsm.fault('C_GenerateKeyPair.after');
  await assert.rejects(made, { code: 'keystore.changed', seen: /cleared it away/ });
  assert.doesNotMatch(hsm.tool('one', '--list-objects').text, /cleared/);
});

test('of two programs that make one key at the same time the one that was told so has it', async () => {
  await open();
  hsm.fault('C_GenerateKeyPair', 'hold');
  const calls = hsm.calls('C_GenerateKeyPair');
  const made = keystore.generate('both', 'P-256', 'of the slow one');
  made.catch(() => {});
  while (hsm.calls('C_GenerateKeyPair') === calls) await pause(5);
  const spki = await madeElsewhere('both');
  hsm.fault('C_GenerateKeyPair');
  await assert.rejects(made, { code: 'keystore.changed' });
  keystore.close();
  await open();
  assert.deepEqual(
    keystore.list().map(({ id, purpose, spki: one }) => [id, purpose, toHex(one)]),
    [['both', 'of another program', spki]],
  );
  await signs('both');
});

test('of two keystores that make one key at the same time the one that is told otherwise destroys its own alone', async () => {
  await open();
  const other = await hsm.open({ module: hsm.faulty(), sessions: 1, callSeconds: 100 });
  hsm.fault('C_GenerateKeyPair', 'hold');
  const calls = hsm.calls('C_GenerateKeyPair');
  const made = keystore.generate('shared', 'P-256', 'of the slow one');
  made.catch(() => {});
  while (hsm.calls('C_GenerateKeyPair') === calls) await pause(5);
  await other.generateWrapping('shared', 'of the fast one');
  hsm.fault('C_GenerateKeyPair');
  await assert.rejects(made, { code: 'keystore.changed' });
  using secret = SecretBytes.random(32);
  const wrapped = await other.wrapper('shared').wrap(secret);
  other.close();
  keystore.close();
  await open();
  using back = await keystore.wrapper('shared').unwrap(wrapped);
  assert.ok(back.use((one) => secret.use((two) => Buffer.compare(one, two) === 0)));
  assert.doesNotMatch(hsm.tool('one', '--list-objects', '--type', 'privkey').text, /shared/);
  await keystore.destroy('shared');
});

/** By another process and the module that makes no faults. @returns the public key, hex. */
async function madeElsewhere(id: string): Promise<string> {
  const script = join(hsm.dir, 'elsewhere.mjs');
  const lines = [
    `const { openPkcs11Keystore } = await import(${JSON.stringify(new URL('../index.ts', import.meta.url).href)});`,
    `const { SecretBytes } = await import(${JSON.stringify(import.meta.resolve('@keystead/core/crypto'))});`,
    `const config = ${JSON.stringify(hsm.config({ module: SOFTHSM, sessions: 1, callSeconds: 100 }))};`,
    `const pin = SecretBytes.take(Buffer.from(${JSON.stringify(PIN)}));`,
    'const keystore = await openPkcs11Keystore(config, pin, { now: () => new Date(1000) });',
    `const { spki } = await keystore.generate(${JSON.stringify(id)}, 'P-256', 'of another program');`,
    "process.stdout.write(Buffer.from(spki).toString('hex'));",
  ];
  writeFileSync(script, lines.join('\n'));
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  return said;
}
