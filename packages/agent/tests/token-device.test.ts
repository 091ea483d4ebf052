import assert from 'node:assert/strict';
import { chmodSync, cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { readCertificate } from '@keystead/core/x509';
import { PIN, pin, SoftHsmTokens } from '@keystead/pkcs11/tests/softhsm-tokens.ts';
import { run } from '../../tpm2/tests/swtpm.ts';
import { DeviceState, type DeviceToken, openDeviceToken, provision, RollbackGuard, TokenDevice } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { MemoryDisk, PowerCut } from './memory-disk.ts';
import { worksAgain } from './token-again.ts';

const work = mkdtempSync(join(tmpdir(), 'keystead-token-device-'));
const fleet = new Fleet();
const { clock } = fleet;
let hsm: SoftHsmTokens;
let token: DeviceToken;
before(async () => {
  hsm = new SoftHsmTokens('one', 'two');
  token = await open();
});
afterEach(() => hsm.plug());
after(async () => {
  await token?.end();
  hsm?.remove();
  rmSync(work, { recursive: true });
});

async function open(label = 'one'): Promise<DeviceToken> {
  using secret = pin();
  return openDeviceToken(hsm.config({ token: { label }, sessions: 1 }), secret, clock);
}

let made = 0;
/** A device that no other test has. */
const fresh = (): { deviceId: string; directory: string; state: string } => {
  made += 1;
  const deviceId = `pump-${made}`;
  return { deviceId, directory: join(work, `${deviceId}-token`), state: join(work, `${deviceId}-state`) };
};

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    assert.ok(!JSON.stringify(error).includes(PIN), 'the PIN stands in an error');
    return true;
  };

const station = async (csr: Uint8Array) => {
  const [certificate, ...chain] = deviceCertificate(fleet, 'idevid', csr);
  assert.ok(certificate);
  return { certificate, chain };
};

const objectsOn = (deviceId: string): Promise<string[]> => TokenDevice.objects(token, deviceId);

test('TEST-KEY-03 TEST-KEY-11: the IDevID is certified for a key that the token made, cannot give out, and signs with [pkcs11-tool: PKCS11 list-objects] [openssl: PKCS11 signature of a token]', async () => {
  const { deviceId, directory, state: path } = fresh();
  const device = await TokenDevice.create(directory, token, { deviceId });
  using secret = await device.secret();
  const state = DeviceState.create(path, { deviceId, anchors: [fleet.root.certificate], secret });
  const certificate = await provision(state, clock, station, device.signer());
  assert.equal(spkiSha256(readCertificate(certificate).spki), spkiSha256(device.signer().spki));

  const [label] = token.list().flatMap(({ id, purpose }) => (purpose.endsWith(deviceId) ? [id] : []));
  const { text } = hsm.tool('one', '--list-objects', '--type', 'privkey', '--label', label ?? assert.fail('no key'));
  for (const word of ['sensitive', 'always sensitive', 'never extractable', 'local'])
    assert.match(text, new RegExp(word));
  const [seal] = hsm.tool('one', '--list-objects', '--type', 'secrkey').text.split('Secret Key Object').slice(-1);
  assert.match(seal ?? '', /wrap, unwrap/);
  assert.match(seal ?? '', /never extractable/);

  const [message, pem, key, signature] = ['message', 'idevid.pem', 'idevid.pub', 'signature'].map((name) =>
    join(work, name),
  );
  assert.ok(message !== undefined && pem !== undefined && key !== undefined && signature !== undefined);
  writeFileSync(message, 'a message of the device');
  writeFileSync(pem, toPem('CERTIFICATE', certificate));
  writeFileSync(signature, await device.signer().sign(readFileSync(message)));
  writeFileSync(key, run('openssl', ['x509', '-in', pem, '-noout', '-pubkey']));
  assert.match(run('openssl', ['dgst', '-sha256', '-verify', key, '-signature', signature, message]), /Verified OK/);

  assert.throws(() => state.identity('idevid').withKey(() => undefined), fails('state.key-held', /node:tls/));
  await state.beginKey('ldevid');
  state.close();
  // Again after a restart: the same secret opens the same state, and nothing that is written holds it in clear.
  using again = await TokenDevice.open(directory, token, { deviceId }).secret();
  DeviceState.open(path, { secret: again }).close();
  const places = [directory, path].flatMap((at) => readdirSync(at).map((name) => readFileSync(join(at, name))));
  const isIn = (place: Buffer): boolean =>
    secret.use(
      (bytes) =>
        ['hex', 'base64url', 'base64'].some((as) =>
          place.includes(Buffer.from(bytes).toString(as as BufferEncoding)),
        ) || place.includes(Buffer.from(bytes)),
    );
  assert.ok(places.length >= 3 && !places.some(isIn));
});

/**
 * The power fails when the n-th thing that changes the token has been done and nobody knows it yet, which is the moment
 * before the next as well; 0: before the first, Infinity: never.
 */
function cutting(at: number): { token: DeviceToken; changes: () => number } {
  let changes = 0;
  const step = async <T>(change: () => Promise<T>): Promise<T> => {
    if (at === 0) throw new PowerCut();
    changes += 1;
    const done = await change();
    if (changes === at) throw new PowerCut();
    return done;
  };
  const cut: DeviceToken = {
    facts: token.facts,
    list: () => token.list(),
    wrappingKeys: () => token.wrappingKeys(),
    generate: (...key) => step(() => token.generate(...key)),
    generateWrapping: (...key) => step(() => token.generateWrapping(...key)),
    signer: (id) => token.signer(id),
    wrapper: (id) => token.wrapper(id),
    seen: () => token.seen(),
    erase: (id) => step(() => token.erase(id)),
    counter: (label) => {
      const counter = token.counter(label);
      return {
        ...counter,
        create: () => step(() => counter.create()),
        raise: (...how) => step(() => counter.raise(...how)),
        remove: () => step(() => counter.remove()),
      };
    },
    end: () => token.end(),
  };
  return { token: cut, changes: () => changes };
}

test('TEST-KEY-03: a power cut at any step, on the token or on the disk, leaves no orphan on the token, and a key that was made is the key of the device', async () => {
  const whole = { disk: new MemoryDisk(), ...cutting(Number.POSITIVE_INFINITY) };
  await TokenDevice.create('/token', whole.token, { deviceId: 'pump-whole', disk: whole.disk });
  const cuts = [
    ...Array.from({ length: whole.changes() + 1 }, (_, index) => ({ token: index, disk: Number.POSITIVE_INFINITY })),
    ...Array.from({ length: whole.disk.operations }, (_, index) => ({
      token: Number.POSITIVE_INFINITY,
      disk: index + 1,
    })),
  ];
  assert.ok(cuts.length > 5);
  for (const [index, cutAt] of cuts.entries()) {
    const deviceId = `cut-${index}`;
    const disk = new MemoryDisk();
    disk.cutAt = cutAt.disk;
    await TokenDevice.create('/token', cutting(cutAt.token).token, { deviceId, disk }).catch((error) =>
      assert.ok(error instanceof PowerCut, String(error)),
    );
    const first = token.list().find(({ purpose }) => purpose === `IDevID key of ${deviceId}`);
    for (const cut of ['nothing unsynced is left', 'everything written is left'] as const) {
      const found = disk.afterCut(cut);
      const device = await openOrMake(deviceId, found);
      if (first !== undefined) assert.deepEqual(device.signer().spki, first.spki, `${deviceId} ${cut}`);
      (await device.secret()).wipe();
      await device.signer().sign(Buffer.from('x'));
      assert.equal((await objectsOn(deviceId)).length, 2, `${deviceId} ${cut}: one key that signs and one that wraps`);
    }
    await TokenDevice.wipe('/token', token, { deviceId, disk: disk.afterCut('everything written is left') });
  }
});

async function openOrMake(deviceId: string, disk: MemoryDisk): Promise<TokenDevice> {
  try {
    return TokenDevice.open('/token', token, { deviceId, disk });
  } catch (error) {
    assert.ok(fails('state.missing')(error));
    return TokenDevice.create('/token', token, { deviceId, disk });
  }
}

test('a device whose file is lost takes up the key that was certified, and its old state opens no more, by name', async () => {
  const { deviceId, directory, state: path } = fresh();
  const device = await TokenDevice.create(directory, token, { deviceId });
  const { spki } = device.signer();
  using secret = await device.secret();
  DeviceState.create(path, { deviceId, anchors: [fleet.root.certificate], secret }).close();
  rmSync(join(directory, 'token.json'));
  const again = await TokenDevice.create(directory, token, { deviceId });
  assert.deepEqual(again.signer().spki, spki);
  using other = await again.secret();
  assert.throws(() => DeviceState.open(path, { secret: other }), fails('state.damaged'));
});

test('another token, a file of another device, and a file that was changed are refused by name', async () => {
  const { deviceId, directory } = fresh();
  await TokenDevice.create(directory, token, { deviceId });
  await assert.rejects(TokenDevice.create(directory, token, { deviceId }), fails('state.exists'));
  const at = { deviceId };
  assert.throws(() => TokenDevice.open(join(work, 'nowhere'), token, at), fails('state.missing'));
  assert.throws(
    () => TokenDevice.open(directory, token, { deviceId: 'pump-x' }),
    fails('agent.config-invalid', /deviceId/),
  );
  const two = await open('two');
  try {
    assert.throws(() => TokenDevice.open(directory, two, at), fails('agent.other-token', /serialNumber/));
    // Its serial number put into the file as well: the keys are not there.
    const file = join(directory, 'token.json');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace(token.facts.token.serialNumber, two.facts.token.serialNumber));
    const forged = TokenDevice.open(directory, two, at);
    await assert.rejects(forged.secret(), fails('agent.other-token', /no such key/));
    await assert.rejects(forged.signer().sign(Buffer.from('x')), fails('agent.other-token'));
    for (const changed of ['{', '{}', text.slice(0, -9), text.replace('"v": 1', '"v": 2')]) {
      writeFileSync(file, changed);
      assert.throws(() => TokenDevice.open(directory, token, at), fails('state.damaged'), changed);
    }
    const secret = /"secret": "(.)/;
    writeFileSync(
      file,
      text.replace(secret, (_, first) => `"secret": "${first === 'A' ? 'B' : 'A'}`),
    );
    await assert.rejects(TokenDevice.open(directory, token, at).secret(), fails('wrap.damaged'));
  } finally {
    await two.end();
  }
});

test('a token that is away is said to be away, and is used again when it is back, without a restart', async () => {
  const { deviceId, directory } = fresh();
  const device = await TokenDevice.create(directory, token, { deviceId });
  hsm.unplug();
  await assert.rejects(device.secret(), (error) => {
    assert.match(error instanceof KeysteadError ? (error.toJSON().remedy ?? '') : '', /put the token back/);
    return fails('keystore.token-absent')(error);
  });
  await assert.rejects(device.signer().sign(Buffer.from('x')), fails('keystore.token-absent'));
  hsm.plug();
  await worksAgain(device);
  assert.ok((await device.signer().sign(Buffer.from('x'))).length > 60);
});

test('REQ-KEY-REV-04: an older image of the disk is noticed by the counter on the token, and a step whose answer was lost is taken once', async () => {
  const { deviceId, directory, state: path } = fresh();
  const device = await TokenDevice.create(directory, token, { deviceId });
  using secret = await device.secret();
  const state = DeviceState.create(path, { deviceId, anchors: [fleet.root.certificate], secret });
  const counter = await device.counter();
  assert.deepEqual(await counter.read(), { value: 0, bundleVersion: undefined });
  await RollbackGuard.open(state, counter);
  state.close();
  const old = `${path}-old`;
  cpSync(path, old, { recursive: true });
  chmodSync(old, 0o700);

  const newer = DeviceState.open(path, { secret });
  const cut = cutting(1);
  const lossy = await TokenDevice.open(directory, cut.token, { deviceId }).counter();
  const guard = await RollbackGuard.open(newer, lossy);
  newer.startOver(2, 0);
  await assert.rejects(guard.settle(), PowerCut);
  await guard.settle();
  assert.equal((await counter.read()).value, newer.generation);
  newer.close();

  const rolled = DeviceState.open(old, { secret });
  await assert.rejects(RollbackGuard.open(rolled, await device.counter()), fails('state.rolled-back', /counter is at/));
  rolled.close();
});

test('TEST-KEY-24: a wipe destroys what the device has on the token, reads back that it is gone, and goes on after a power cut at any step [pkcs11-tool: PKCS11 list-objects]', async () => {
  const whole = cutting(Number.POSITIVE_INFINITY);
  for (const at of [Number.POSITIVE_INFINITY, 0, 1, 2, 3]) {
    const { deviceId, directory } = fresh();
    const device = await TokenDevice.create(directory, token, { deviceId });
    await device.counter();
    const copy = `${directory}-copy`;
    cpSync(directory, copy, { recursive: true });
    const named = await objectsOn(deviceId);
    assert.equal(named.length, 3);
    if (at === Number.POSITIVE_INFINITY) {
      const gone = await TokenDevice.wipe(directory, whole.token, { deviceId });
      assert.deepEqual(gone, [...named.map((name) => `${name}: destroyed, and read back as gone`), 'file token.json']);
      assert.equal(whole.changes(), 3);
      const { text } = hsm.tool('one', '--list-objects');
      for (const name of named) assert.ok(!text.includes(/agent\.[0-9a-f]+/.exec(name)?.[0] ?? '?'), name);
    } else {
      await assert.rejects(TokenDevice.wipe(directory, cutting(at).token, { deviceId }), PowerCut);
      await TokenDevice.wipe(directory, token, { deviceId });
    }
    assert.deepEqual(await objectsOn(deviceId), []);
    assert.deepEqual(readdirSync(directory), []);
    assert.deepEqual(await TokenDevice.wipe(directory, token, { deviceId }), [], 'and again');
    await assert.rejects(TokenDevice.open(copy, token, { deviceId }).secret(), fails('agent.other-token'));
  }
});

test('a token that does not destroy what it was told to is found out', async () => {
  const { deviceId, directory } = fresh();
  await TokenDevice.create(directory, token, { deviceId });
  const lying = { ...cutting(Number.POSITIVE_INFINITY).token, erase: async () => undefined };
  await assert.rejects(TokenDevice.wipe(directory, lying, { deviceId }), fails('keystore.not-destroyed', /agent\./));
  assert.deepEqual(readdirSync(directory), ['token.json'], 'so that the next wipe finds its way');
});
