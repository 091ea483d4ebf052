import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { SecretBytes, verifySignature } from '@keystead/core/crypto';
import { TokenThread } from '@keystead/pkcs11/token-thread.ts';
import type { AgreementKeystore, WrappingKeystore } from '../../keystore.ts';
import { SoftHsm } from './softhsm.ts';

/** Calls whose answer was lost, or that nobody waits for any more: what is made of them, and what they must not do. */
const DATA = Buffer.from('what is signed', 'utf8');
const DEVICE_REMOVED = 'rv=0x32';
const SESSION_HANDLE_INVALID = 'rv=0xb3';
const LONG = 10_000_000;
const timeout = setTimeout;
const pause = (ms: number): Promise<void> => new Promise((resolve) => timeout(resolve, ms));

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

async function withKey(more: object = {}): Promise<void> {
  keystore = await hsm.open({ module: hsm.faulty(), sessions: 1, callSeconds: 100, ...more });
  if (!keystore.list().some(({ id }) => id === 'ca')) await keystore.generate('ca', 'P-256', 'a test');
  await signs();
}

async function signs(id = 'ca'): Promise<void> {
  const signer = keystore.signer(id);
  assert.ok(verifySignature('ecdsa-with-SHA256', signer.spki, DATA, await signer.sign(DATA)));
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await pause(5);
}

/** How many private keys of the name pkcs11-tool finds. */
const keysOnToken = (id: string): number =>
  hsm
    .tool('one', '--list-objects', '--type', 'privkey')
    .text.split('\n')
    .filter((line) => line.includes('label:') && line.trim().endsWith(id)).length;

test('a key that was made when the token went away, and could not be cleared away, is made anew and stands there once', async () => {
  await withKey();
  hsm.fault('C_GenerateKeyPair.after', `once ${DEVICE_REMOVED}`);
  hsm.fault('C_DestroyObject', `once ${DEVICE_REMOVED}`);
  await keystore.generate('twice', 'P-256', 'a test');
  await signs('twice');
  assert.equal(keysOnToken('twice'), 1);
  await keystore.destroy('twice');
});

test('a key that came when nobody waited for it any more is made anew by whoever asks again, and stands there once', async (t) => {
  await withKey();
  hsm.fault('C_GenerateKeyPair.after', 'hold');
  const made = hsm.calls('C_GenerateKeyPair.after');
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const late = assert.rejects(keystore.generate('late', 'P-256', 'a test'), { code: 'keystore.token-slow' });
  await until(() => hsm.calls('C_GenerateKeyPair.after') > made);
  t.mock.timers.tick(LONG);
  await late;
  t.mock.timers.reset();
  await assert.rejects(keystore.generate('late', 'P-256', 'while it hangs'), { code: 'keystore.token-slow' });
  hsm.fault('C_GenerateKeyPair.after');
  for (;;) {
    try {
      await keystore.generate('late', 'P-256', 'asked again');
      break;
    } catch (error) {
      assert.equal((error as { code: string }).code, 'keystore.token-slow');
      await pause(20);
    }
  }
  assert.equal(keystore.list().at(-1)?.purpose, 'asked again');
  await signs('late');
  assert.equal(keysOnToken('late'), 1);
  await keystore.destroy('late');
});

test('a key that another program made is not taken for one that was begun here', async () => {
  await withKey();
  const other = await hsm.open({ module: hsm.faulty(), sessions: 1 });
  await other.generate('others', 'P-256', 'of another');
  await assert.rejects(keystore.generate('others', 'P-256', 'a test'), { code: 'keystore.changed' });
  await assert.rejects(keystore.generate('others', 'P-256', 'a test'), { code: 'keystore.changed' });
  assert.equal(keysOnToken('others'), 1);
  await other.destroy('others');
  other.close();
});

test('what is wrong with a key is told also where it cannot be destroyed, and the next attempt clears it away', async () => {
  await withKey();
  hsm.fault('extractable', 'yes');
  hsm.fault('C_DestroyObject', DEVICE_REMOVED);
  await assert.rejects(keystore.generate('loose', 'P-256', 'a test'), { code: 'keystore.key-exposed' });
  hsm.fault('extractable');
  hsm.fault('C_DestroyObject');
  for (let tries = 0; ; tries += 1) {
    try {
      await keystore.generate('loose', 'P-256', 'a test');
      break;
    } catch (error) {
      assert.equal((error as { code: string }).code, 'keystore.token-absent');
      assert.ok(tries < 40, String(error));
      await pause(50);
    }
  }
  assert.equal(keysOnToken('loose'), 1);
  await keystore.destroy('loose');
});

test('an order that cannot be made or sent is the failure of who gave it, and the token is connected again afterwards as ever', async () => {
  await withKey({ callSeconds: 20 });
  await keystore.generateWrapping('wraps', 'a test');
  const secret = SecretBytes.random(32);
  const wrapped = keystore.wrapper('wraps').wrap(secret);
  secret.wipe();
  await assert.rejects(wrapped, /wiped/);
  const gone = new Uint8Array(32);
  structuredClone(gone.buffer, { transfer: [gone.buffer] });
  await assert.rejects(keystore.signer('ca').sign(gone));
  hsm.fault('C_SignInit', `once ${SESSION_HANDLE_INVALID}`);
  await signs();
  await keystore.destroy('wraps');
});

test('a session in which an operation was left behind is given up for another', async () => {
  await withKey();
  for (const rv of ['rv=0x90', 'rv=0x91']) {
    hsm.fault('C_SignInit', `once ${rv}`);
    await signs();
  }
});

test('a search that fails is told by how it failed, not by how it was ended', async () => {
  await withKey();
  hsm.fault('C_FindObjects', `once ${DEVICE_REMOVED}`);
  hsm.fault('C_FindObjectsFinal', 'once rv=0x50');
  await keystore.generate('sought', 'P-256', 'a test');
  await keystore.destroy('sought');
});

test('a search without an end is refused: the one that counts may lie behind it', async () => {
  await withKey();
  hsm.fault('endless', 'yes');
  await assert.rejects(keystore.generate('lost', 'P-256', 'a test'), {
    code: 'keystore.token-failed',
    seen: /more than 4096 objects/,
    remedy: /remove what is not of Keystead/,
  });
});

test('an order whose thread ends is answered, by a name', async () => {
  const thread = new TokenThread(hsm.config({ module: hsm.faulty() }), () => {});
  const asked = thread.ask({ kind: 'random', bytes: 8 });
  thread.end();
  await assert.rejects(asked, { code: 'keystore.token-failed', seen: 'the thread of the token ended' });
});

for (const [which, hung] of [
  ['second', 2],
  ['first', 1],
] as const) {
  test(`nothing is finalized under the call of the ${which} session, which hangs, neither to connect again nor to close`, async (t) => {
    await withKey({ sessions: 2 });
    const [finalized, opened] = [hsm.calls('C_Finalize'), hsm.calls('C_OpenSession')];
    hsm.fault('C_SignInit', `once ${SESSION_HANDLE_INVALID}`);
    hsm.fault(hung === 1 ? 'C_OpenSession' : 'C_OpenSession.after', 'hold');
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const refused = assert.rejects(signs(), { code: 'keystore.token-slow' });
    if (hung === 2) {
      const past = 'C_OpenSession.after';
      await until(() => hsm.calls(past) > opened);
      hsm.fault('C_OpenSession', 'hold');
      hsm.fault(past);
    }
    await until(() => hsm.calls('C_OpenSession') >= opened + hung);
    // Whatever is waited for, nobody waits any more, until a while after the keystore was closed.
    let left = Number.POSITIVE_INFINITY;
    const ended = refused.finally(() => {
      keystore.close();
      left = 50;
    });
    for (; left > 0; left -= 1) {
      t.mock.timers.tick(LONG);
      await pause(10);
    }
    await ended;
    assert.equal(hsm.calls('C_Finalize'), finalized);
    t.mock.timers.reset();
    hsm.fault('C_OpenSession');
  });
}
