import assert from 'node:assert/strict';
import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, type TestContext, test } from 'node:test';
import { SecretBytes, verifySignature } from '@keystead/core/crypto';
import { ModuleInProcess } from '@keystead/pkcs11/module-in-process.ts';
import type { Keystore } from '../../keystore.ts';
import { pin, SoftHsm } from './softhsm.ts';

/** A wrong attempt costs one of a few: when a PIN is tried, and when not, whatever the token does meanwhile. */
const DATA = Buffer.from('what is signed', 'utf8');
const SESSION_HANDLE_INVALID = 'rv=0xb3';
/** Longer than anything is waited for, ms. */
const LONG = 10_000_000;
/** The pool refuses for this long after a connection that failed, and a little. */
const REST = 300;
const timeout = setTimeout;
const pause = (ms: number): Promise<void> => new Promise((resolve) => timeout(resolve, ms));

let hsm: SoftHsm;
let keystore: Keystore | undefined;
before(() => {
  hsm = new SoftHsm('one');
  hsm.faulty();
});
afterEach(() => {
  hsm.well();
  keystore?.close();
  keystore = undefined;
});
after(() => hsm.remove());

/** One session, and a key `ca`. The token has answered so far as fast as it could. */
async function withKey(): Promise<Keystore> {
  keystore = await hsm.open({ module: hsm.faulty(), sessions: 1, callSeconds: 100 });
  if (keystore.list().length === 0) await keystore.generate('ca', 'P-256', 'a test');
  await signs();
  return keystore;
}

async function signs(): Promise<void> {
  const signer = keystore?.signer('ca') ?? assert.fail('no keystore');
  assert.ok(verifySignature('ecdsa-with-SHA256', signer.spki, DATA, await signer.sign(DATA)));
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await pause(5);
}

/** Connects again, and gives up while the token is in the call that hangs. */
async function givenUpIn(t: TestContext, call: string): Promise<void> {
  const calls = hsm.calls(call);
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const refused = assert.rejects(signs(), { code: 'keystore.token-slow' });
  await until(() => hsm.calls(call) > calls);
  t.mock.timers.tick(LONG);
  await refused;
  t.mock.timers.tick(REST);
  t.mock.timers.reset();
}

/** What a request is answered with when the token is not slow any more: undefined for a signature. */
async function codeAtLast(): Promise<string | undefined> {
  for (;;) {
    const code = await signs().then(
      () => undefined,
      (error: { code: string }) => error.code,
    );
    if (code !== 'keystore.token-slow') return code;
    await pause(20);
  }
}

test('a token that hangs before the login gets the PIN when it goes on, not what was left of it when nobody waited any more', async (t) => {
  await withKey();
  hsm.fault('C_SignInit', `once ${SESSION_HANDLE_INVALID}`);
  hsm.fault('C_OpenSession', 'hold');
  await givenUpIn(t, 'C_OpenSession');
  hsm.fault('C_OpenSession');
  assert.equal(await codeAtLast(), undefined);
  assert.equal(hsm.calls('C_Login') - hsm.calls('C_Login.after'), 0, 'an attempt was refused');
});

test('a PIN that is refused when nobody waits for the answer any more is refused, and not tried again', async (t) => {
  await withKey();
  const logins = hsm.calls('C_Login');
  hsm.fault('C_SignInit', `once ${SESSION_HANDLE_INVALID}`);
  hsm.fault('C_Login', 'hold rv=0xa0');
  await givenUpIn(t, 'C_Login');
  // Connects again as soon as the thread has been left: the refusal must have been heard by then.
  const next = codeAtLast();
  await pause(50);
  hsm.fault('C_Login');
  assert.equal(await next, 'keystore.login-lost');
  assert.equal(await codeAtLast(), 'keystore.login-lost');
  assert.equal(hsm.calls('C_Login') - logins, 1);
});

test('a login that is refused by a word of the vendor is not tried again either', async () => {
  await withKey();
  const logins = hsm.calls('C_Login');
  hsm.fault('C_SignInit', `once ${SESSION_HANDLE_INVALID}`);
  hsm.fault('C_Login', 'rv=0x80000101');
  const told = { code: 'keystore.login-lost', seen: /CKR_VENDOR_DEFINED 0x80000101 of C_Login/ };
  await assert.rejects(signs(), told);
  hsm.fault('C_Login');
  await pause(REST);
  await assert.rejects(signs(), told);
  assert.equal(hsm.calls('C_Login') - logins, 1);
});

test('a token that only says that it failed, and counts an attempt, has refused the PIN', async () => {
  await withKey();
  const logins = hsm.calls('C_Login');
  hsm.fault('C_SignInit', `once ${SESSION_HANDLE_INVALID}`);
  hsm.fault('C_Login', 'hold rv=0x6');
  const refused = assert.rejects(signs(), {
    code: 'keystore.login-lost',
    seen: /CKR_FUNCTION_FAILED of C_Login; .*spent/,
  });
  await until(() => hsm.calls('C_Login') > logins);
  hsm.fault('flags', 'rv=0x10000');
  hsm.fault('C_Login');
  await refused;
  assert.equal(hsm.calls('C_Login') - logins, 1);
});

test('a login that fails because the token is away costs nothing and is tried again', async () => {
  await withKey();
  hsm.fault('C_SignInit', `once ${SESSION_HANDLE_INVALID}`);
  hsm.fault('C_Login', 'once rv=0x32');
  await signs();
});

test('a PIN that the token did not look at, since the process is logged in, is not taken for the right one', async () => {
  await withKey();
  hsm.fault('public', 'yes');
  await assert.rejects(hsm.open({ module: hsm.faulty(), sessions: 1 }, pin('00000')), {
    code: 'keystore.pin-incorrect',
    seen: /the token was not asked/,
  });
});

test('nor is it where nobody knows by which PIN the process is logged in', () => {
  const module = ModuleInProcess.at('/nowhere');
  using any = pin('00000');
  assert.throws(() => module.requireSamePin('1', any, true), {
    code: 'keystore.pin-incorrect',
    seen: /by another way; the token was not asked/,
  });
  module.requireSamePin('1', any, false);
  module.requireSamePin('1', any, true);
});

test('bytes that are no UTF-8 are no PIN, and are not tried as something else', async () => {
  const latin = SecretBytes.take(Uint8Array.of(0x37, 0xe9, 0x31, 0x34, 0x35));
  await assert.rejects(hsm.open({ module: hsm.faulty(), sessions: 1 }, latin), {
    code: 'keystore.pin-incorrect',
    seen: 'no UTF-8; the PIN was not tried',
  });
  assert.equal(hsm.calls('C_Login'), 0);
});

test('a key that wants the PIN at each use is given up after a bounded number of logins, and told with what to do', async () => {
  await withKey();
  const logins = hsm.calls('C_Login');
  hsm.fault('C_SignInit', 'rv=0x101');
  await assert.rejects(signs(), { code: 'keystore.token-failed', remedy: /CKA_ALWAYS_AUTHENTICATE/ });
  assert.equal(hsm.calls('C_Login') - logins, 2);
});

test('a token that has no session left is told with what to do', async () => {
  hsm.fault('C_OpenSession', 'rv=0xb1');
  await assert.rejects(hsm.open({ module: hsm.faulty(), sessions: 1 }), {
    code: 'keystore.token-failed',
    seen: 'CKR_SESSION_COUNT of C_OpenSession',
    remedy: /lower `sessions`/,
  });
});

test('a module that anybody may write, or replace, is not loaded', async () => {
  const open = join(hsm.dir, 'libopen.so');
  copyFileSync(hsm.faulty(), open);
  chmodSync(open, 0o757);
  const refused = { code: 'keystore.module-unusable', seen: /anybody may write it/, remedy: /chmod o-w/ };
  await assert.rejects(hsm.open({ module: open, sessions: 1 }), refused);
  chmodSync(hsm.dir, 0o777);
  try {
    await assert.rejects(hsm.open({ module: hsm.faulty(), sessions: 1 }), refused);
  } finally {
    chmodSync(hsm.dir, 0o700);
  }
  assert.equal(hsm.calls('C_Initialize'), 0);
});
