import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { verifySignature } from '@keystead/core/crypto';
import type { AgreementKeystore, WrappingKeystore } from '../../keystore.ts';
import { PIN, pin, SoftHsm } from './softhsm.ts';

/** What tokens do wrong, by the module of faulty-module.c before a real SoftHSM. */
const DATA = Buffer.from('what is signed', 'utf8');
const CKR = {
  DEVICE_MEMORY: 'rv=0x31',
  DEVICE_REMOVED: 'rv=0x32',
  SESSION_HANDLE_INVALID: 'rv=0xb3',
  USER_NOT_LOGGED_IN: 'rv=0x101',
  CRYPTOKI_NOT_INITIALIZED: 'rv=0x190',
  MECHANISM_INVALID: 'rv=0x70',
  PIN_INCORRECT: 'rv=0xa0',
  PIN_LOCKED: 'rv=0xa4',
  TEMPLATE_INCONSISTENT: 'rv=0xd1',
} as const;
const CALLS = ['C_Sign', 'C_SignInit', 'C_CreateObject', 'C_GenerateKeyPair', 'C_GenerateRandom', 'C_Login'];
const WORDS = ['C_OpenSession', 'C_GetTokenInfo', 'C_Initialize', 'flags', 'random', 'extractable', 'signature'];

let hsm: SoftHsm;
let keystore: AgreementKeystore & WrappingKeystore;
before(() => {
  hsm = new SoftHsm('one');
  hsm.faulty();
});
afterEach(() => {
  for (const what of [...CALLS, ...WORDS]) hsm.fault(what);
  keystore?.close();
});
after(() => hsm.remove());

async function open(more: object = {}): Promise<AgreementKeystore & WrappingKeystore> {
  keystore = await hsm.open({ module: hsm.faulty(), ...more });
  return keystore;
}

/** A keystore with one key, `ca`, made once. */
async function withKey(more: object = {}): Promise<AgreementKeystore & WrappingKeystore> {
  const opened = await open(more);
  if (!opened.list().some(({ id }) => id === 'ca')) await opened.generate('ca', 'P-256', 'a test');
  return opened;
}

async function signs(): Promise<void> {
  const signer = keystore.signer('ca');
  assert.ok(verifySignature('ecdsa-with-SHA256', signer.spki, DATA, await signer.sign(DATA)));
}

test('a call that hangs does not stall the event loop, and other sessions go on signing meanwhile', async () => {
  await withKey({ sessions: 2 });
  await signs();
  // The first signature of the two threads hangs; a hundred others do not.
  hsm.fault('C_Sign', 'hold');
  const first = keystore.signer('ca').sign(DATA);
  let turns = 0;
  const deadline = performance.now() + 200;
  while (performance.now() < deadline) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  assert.ok(turns > 100, `the event loop made ${turns} turns in 200 ms`);
  assert.equal(await Promise.race([first.then(() => 'signed'), new Promise((r) => setImmediate(r, 'waits'))]), 'waits');
  hsm.fault('C_Sign');
  await first;
  await Promise.all(Array.from({ length: 100 }, () => keystore.signer('ca').sign(DATA)));
});

test('while a key is being made, the other session signs', async () => {
  await withKey({ sessions: 2 });
  hsm.fault('C_GenerateKeyPair', 'hold');
  const made = keystore.generate(`slow-${keystore.list().length}`, 'P-256', 'slow');
  await Promise.all(Array.from({ length: 40 }, () => signs()));
  hsm.fault('C_GenerateKeyPair');
  await keystore.destroy((await made).id);
});

test('a token that answers too late is told as that, at once for those who come after, and used again when it answers', async () => {
  await withKey({ sessions: 1, callSeconds: 0.3 });
  hsm.fault('C_Sign', 'hold');
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'keystore.token-slow', kind: 'unavailable' });
  const asked = performance.now();
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'keystore.token-slow' });
  assert.ok(performance.now() - asked < 250, 'the second waits for nothing');
  hsm.fault('C_Sign');
  for (;;) {
    try {
      await signs();
      break;
    } catch (error) {
      assert.equal((error as { code: string }).code, 'keystore.token-slow');
      await pause(5);
    }
  }
});

test('a full token refuses the key by name, loses nothing, and takes the key when it has room', async () => {
  await withKey();
  const before = keystore.list();
  for (const [call, fault] of [
    ['C_CreateObject', CKR.DEVICE_MEMORY],
    ['C_GenerateKeyPair', CKR.DEVICE_MEMORY],
  ] as const) {
    hsm.fault(call, fault);
    await assert.rejects(keystore.generate('more', 'P-256', 'no room'), { code: 'keystore.token-full' });
    hsm.fault(call);
    assert.deepEqual(keystore.list(), before);
    assert.doesNotMatch(hsm.tool('one', '--list-objects').text, /more/);
  }
  await signs();
  await keystore.generate('more', 'P-256', 'room');
  await keystore.destroy('more');
});

test('kill -9 between a record and its key leaves no key, and the key is made over it', async () => {
  hsm.fault('C_GenerateKeyPair', 'hold');
  const child = inProcess(`console.log('open'); await keystore.generate('cut', 'P-256', 'cut short');`);
  // Not before: SoftHSM shows no token to who opens it while another program logs in.
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'close').then(() => assert.fail('the process ended before it had opened the token')),
  ]);
  while (!/cut/.test(hsm.tool('one', '--list-objects', '--type', 'data').text)) await pause(5);
  child.kill('SIGKILL');
  await once(child, 'close');
  hsm.fault('C_GenerateKeyPair');
  await withKey();
  assert.deepEqual(
    keystore.list().map(({ id }) => id),
    ['ca'],
  );
  await keystore.generate('cut', 'P-256', 'made over it');
  keystore.close();
  await withKey();
  assert.deepEqual(
    keystore.list().map(({ purpose }) => purpose),
    ['a test', 'made over it'],
  );
  await keystore.destroy('cut');
});

test('what a token has no mechanism or template for is told with the rule', async () => {
  await withKey();
  hsm.fault('C_GenerateKeyPair', CKR.MECHANISM_INVALID);
  await assert.rejects(keystore.generate('x', 'Ed25519', ''), { code: 'keystore.mechanism-unsupported' });
  hsm.fault('C_GenerateKeyPair', CKR.TEMPLATE_INCONSISTENT);
  await assert.rejects(keystore.generate('x', 'P-256', ''), { code: 'keystore.template-refused' });
  assert.deepEqual(
    keystore.list().map(({ id }) => id),
    ['ca'],
  );
});

test('TEST-KEY-11: a key that the token shows as extractable is destroyed at once, and one that turns so is not opened', async () => {
  await withKey();
  hsm.fault('extractable', 'yes');
  await assert.rejects(keystore.generate('loose', 'P-256', ''), {
    code: 'keystore.key-exposed',
    seen: 'CKA_EXTRACTABLE true',
  });
  assert.doesNotMatch(hsm.tool('one', '--list-objects').text, /loose/);
  keystore.close();
  await assert.rejects(hsm.open({ module: hsm.faulty() }), { code: 'keystore.key-exposed', field: 'key ca' });
});

test('a signature that does not verify does not leave: of a new handle, and always of Ed25519', async () => {
  await withKey({ sessions: 1 });
  hsm.fault('signature', 'wrong');
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'keyd.signature-faulty' });
  hsm.fault('signature');
  await signs();
  await keystore.generate('log', 'Ed25519', 'a log');
  await keystore.signer('log').sign(DATA);
  hsm.fault('signature', 'wrong');
  await assert.rejects(keystore.signer('log').sign(DATA), { code: 'keyd.signature-faulty' });
  await assert.rejects(keystore.generate('pair', 'P-256', ''), { code: 'keyd.signature-faulty' });
  hsm.fault('signature');
  assert.deepEqual(
    keystore.list().map(({ id }) => id),
    ['ca', 'log'],
  );
  await keystore.destroy('log');
});

for (const [name, call, fault] of [
  ['a session that is gone', 'C_SignInit', CKR.SESSION_HANDLE_INVALID],
  ['a login that is gone', 'C_SignInit', CKR.USER_NOT_LOGGED_IN],
  ['a module that somebody finalized', 'C_Sign', CKR.CRYPTOKI_NOT_INITIALIZED],
  ['a device that was away for a moment', 'C_Sign', CKR.DEVICE_REMOVED],
] as const) {
  test(`${name} is connected again, and the request is answered`, async () => {
    await withKey({ sessions: 1 });
    await signs();
    hsm.fault(call, `once ${fault}`);
    await signs();
    hsm.fault(call, `once ${fault}`);
    await Promise.all(Array.from({ length: 50 }, () => signs()));
  });
}

test('a device that stays away is given up after a bounded number of attempts', async () => {
  await withKey({ sessions: 1 });
  hsm.fault('C_Sign', CKR.DEVICE_REMOVED);
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'keystore.token-absent', kind: 'unavailable' });
  hsm.fault('C_Sign');
  await signs();
});

test('a token that was pulled out refuses by name, and heals without a restart when it is back', async () => {
  await withKey();
  await signs();
  hsm.unplug();
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'keystore.token-absent', kind: 'unavailable' });
  await assert.rejects(keystore.generate('away', 'P-256', ''), { code: 'keystore.token-absent' });
  hsm.plug();
  await healed();
  await keystore.generate('back', 'P-256', 'made after it');
  await keystore.destroy('back');
});

async function healed(): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await signs();
      return;
    } catch (error) {
      if (tries > 400) throw error;
      await pause(10);
    }
  }
}

test('when one keystore connects from the ground up, the others of its process still sign with their own keys', async () => {
  hsm.addToken('two');
  // The first session of the process is the other's, and after the reconnection it is the first one's.
  const other = await hsm.open({ module: hsm.faulty(), token: { label: 'two' }, sessions: 1 });
  await other.generate('ca', 'P-256', 'of the other token');
  const signer = other.signer('ca');
  await signer.sign(DATA);
  await withKey({ sessions: 1 });
  const many = Array.from({ length: 8 }, (_, n) => `many-${n}`);
  for (const id of many) await keystore.generate(id, 'P-256', 'one of many');
  hsm.unplug();
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'keystore.token-absent' });
  hsm.plug();
  await healed();
  // Whatever number the other's key had, it is one of these keys' by now.
  for (const id of many) await keystore.signer(id).sign(DATA);
  for (let tries = 0; tries < 5; tries += 1) {
    assert.ok(verifySignature('ecdsa-with-SHA256', signer.spki, DATA, await signer.sign(DATA)));
  }
  for (const id of many) await keystore.destroy(id);
  other.close();
});

test('a wrong PIN is told with what the token says of the attempts left, is tried once, and changes nothing', async () => {
  await assert.rejects(hsm.open({ module: hsm.faulty() }, pin('00000')), {
    code: 'keystore.pin-incorrect',
    field: 'PIN',
    seen: /CKR_PIN_INCORRECT of C_Login; the token says that attempts were spent and more than one is left/,
  });
  await withKey();
  await signs();
});

test('a PIN is not tried when that could lock it, nor when it is locked', async () => {
  hsm.fault('flags', 'rv=0x30000');
  await assert.rejects(hsm.open({ module: hsm.faulty() }), {
    code: 'keystore.pin-final-try',
    seen: /one attempt is left; the PIN was not tried/,
  });
  hsm.fault('flags', 'rv=0x40000');
  await assert.rejects(hsm.open({ module: hsm.faulty() }), { code: 'keystore.pin-locked', seen: /not tried/ });
  hsm.fault('flags');
  hsm.fault('C_Login', CKR.PIN_LOCKED);
  await assert.rejects(hsm.open({ module: hsm.faulty() }), { code: 'keystore.pin-locked' });
  hsm.fault('C_Login');
  await withKey();
});

test('a PIN that was changed meanwhile is tried once and never again by itself', async () => {
  await withKey({ sessions: 1 });
  await signs();
  hsm.fault('C_Login', CKR.PIN_INCORRECT);
  hsm.fault('C_SignInit', `once ${CKR.SESSION_HANDLE_INVALID}`);
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'keystore.login-lost', kind: 'unavailable' });
  // The token would take it now; whoever wants that restarts the service with the right one.
  hsm.fault('C_Login');
  await pause(300);
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'keystore.login-lost' });
  keystore.close();
  await withKey();
  await signs();
});

test('a second keystore of the process does not get in with another PIN, and no attempt is spent on it', async () => {
  await withKey();
  await assert.rejects(hsm.open({ module: hsm.faulty() }, pin('00000')), {
    code: 'keystore.pin-incorrect',
    seen: /the token was not asked/,
  });
  await signs();
});

test('TEST-KEY-01: a token with a stuck random source makes nothing, signs nothing, and does not recover', async () => {
  await withKey();
  hsm.fault('random', 'stuck');
  await assert.rejects(keystore.generate('weak', 'P-256', ''), { code: 'rng.unhealthy' });
  hsm.fault('random');
  await assert.rejects(keystore.generate('weak', 'P-256', ''), { code: 'rng.unhealthy' });
  await assert.rejects(keystore.signer('ca').sign(DATA), { code: 'rng.unhealthy' });
  assert.doesNotMatch(hsm.tool('one', '--list-objects').text, /weak/);
  keystore.close();
  hsm.fault('random', 'stuck');
  await assert.rejects(hsm.open({ module: hsm.faulty() }), { code: 'rng.unhealthy' });
});

test('TEST-KEY-01: the random source is tested along with signatures, and a token that goes away meanwhile is not sick', async () => {
  await withKey();
  hsm.fault('C_GenerateRandom', CKR.MECHANISM_INVALID);
  await Promise.all(Array.from({ length: 300 }, () => keystore.signer('ca').sign(DATA)));
  hsm.fault('C_GenerateRandom');
  await signs();
  hsm.fault('random', 'stuck');
  const refused = async (): Promise<boolean> =>
    signs().then(
      () => false,
      (error: { code: string }) => error.code === 'rng.unhealthy',
    );
  let count = 0;
  while (!(await refused())) {
    count += 1;
    assert.ok(count < 600, 'a stuck source is found within two samples');
  }
});

test('the process of a keystore that nobody closed ends by itself', async () => {
  const child = inProcess('process.stdout.write(String(keystore.list().length));');
  let said = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  const [code] = await once(child, 'close');
  assert.equal(code, 0);
  assert.equal(said, '1');
});

/** Opens the keystore in a process of its own and runs `script` there. */
function inProcess(script: string): ChildProcessByStdio<null, Readable, null> {
  const path = join(hsm.dir, 'in-process.mjs');
  const lines = [
    `const { openPkcs11Keystore } = await import(${JSON.stringify(new URL('../index.ts', import.meta.url).href)});`,
    `const { SecretBytes } = await import(${JSON.stringify(import.meta.resolve('@keystead/core/crypto'))});`,
    `const config = ${JSON.stringify(hsm.config({ module: hsm.faulty() }))};`,
    `const pin = SecretBytes.take(Buffer.from(${JSON.stringify(PIN)}));`,
    'const keystore = await openPkcs11Keystore(config, pin, { now: () => new Date(0) });',
    script,
  ];
  writeFileSync(path, lines.join('\n'));
  return spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'inherit'] });
}
