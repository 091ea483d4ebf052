import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { formatCounter } from '@keystead/pkcs11/counter.ts';
import { CKA, CKO_DATA, CKO_PUBLIC_KEY, CKO_SECRET_KEY } from '@keystead/pkcs11/cryptoki.ts';
import { formatRecord, objectIdOf } from '@keystead/pkcs11/record.ts';
import type { Template } from '@keystead/pkcs11/templates.ts';
import { pin, SOFTHSM, SoftHsmTokens } from '@keystead/pkcs11/tests/softhsm-tokens.ts';
import { type DeviceToken, openDeviceToken, TokenDevice } from '../index.ts';
import { Fleet } from './fleet.ts';
import { worksAgain } from './token-again.ts';

const pkcs11js: typeof import('pkcs11js') = createRequire(import.meta.resolve('@keystead/pkcs11/cryptoki.ts'))(
  'pkcs11js',
);
const work = mkdtempSync(join(tmpdir(), 'keystead-planted-'));
const { clock } = new Fleet();
const deviceId = 'pump-1';
let hsm: SoftHsmTokens;
before(() => {
  hsm = new SoftHsmTokens('one');
});
after(() => {
  hsm?.remove();
  rmSync(work, { recursive: true });
});

async function open(): Promise<DeviceToken> {
  using secret = pin();
  return openDeviceToken(hsm.config({ token: { label: 'one' }, sessions: 1 }), secret, clock);
}

/** As whoever holds the token and has no PIN: public objects, made by another program that does not log in. */
function plantData(application: string, label: string, value: Uint8Array): void {
  const file = join(work, 'value');
  writeFileSync(file, value);
  const args = ['--module', SOFTHSM, '--token-label', 'one', '--write-object', file, '--type', 'data'];
  const { status, stderr } = spawnSync('pkcs11-tool', [...args, '--application-label', application, '--label', label], {
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
}

/** An object that is public; from within, since pkcs11-tool sets fewer attributes. */
function plant(template: Template): void {
  const module = new pkcs11js.PKCS11();
  module.load(SOFTHSM);
  const slot = module.C_GetSlotList(true).find((one) => module.C_GetTokenInfo(one).label.trimEnd() === 'one');
  const session = module.C_OpenSession(slot ?? assert.fail('no token'), 6);
  const shared = [
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: false },
  ];
  module.C_CreateObject(session, [...template, ...shared]);
  module.C_CloseSession(session);
}

const secretKey = (id: string): Template => [
  { type: CKA.CLASS, value: CKO_SECRET_KEY },
  { type: CKA.KEY_TYPE, value: 0x1f },
  { type: CKA.SENSITIVE, value: true },
  { type: CKA.EXTRACTABLE, value: false },
  { type: CKA.WRAP, value: true },
  { type: CKA.UNWRAP, value: true },
  { type: CKA.LABEL, value: id },
  { type: CKA.ID, value: Buffer.from(objectIdOf(id)) },
  { type: CKA.VALUE, value: Buffer.alloc(32, 7) },
];

function plantAll(ids: { idevid: string; seal: string; counter: string }): void {
  const shared = { version: 1, purpose: 'planted', createdAt: '2026-01-01T00:00:00.000Z', sequence: 0 } as const;
  plantData('keystead', ids.seal, formatRecord({ ...shared, id: ids.seal, use: 'wrap', algorithm: 'AES-256' }));
  plantData('keystead', ids.idevid, formatRecord({ ...shared, id: ids.idevid, use: 'sign', algorithm: 'P-256' }));
  plantData('keystead', 'odd', Buffer.from('{}'));
  plantData('keystead counter', ids.counter, formatCounter({ version: 1, value: 4711, mark: 'ab'.repeat(16) }));
  plantData('keystead counter', ids.counter, Buffer.from('{}'));
  for (const id of [ids.seal, ids.idevid]) plant(secretKey(id));
}

test('TEST-KEY-03 TEST-KEY-24: what was put on the token without the PIN, under the names of the device, is not taken for the device’s, before it is made nor after, and does not keep it from its wipe [pkcs11-tool: PKCS11 write-object]', async () => {
  const directory = join(work, 'token');
  const first = await open();
  await TokenDevice.create(join(work, 'probe'), first, { deviceId });
  const [{ id: idevid } = assert.fail('no key')] = first.list();
  const [{ id: seal } = assert.fail('no key')] = first.wrappingKeys();
  const ids = { idevid, seal, counter: idevid.replace('.idevid', '') };
  await TokenDevice.wipe(join(work, 'probe'), first, { deviceId });
  plantAll(ids);
  await first.end();

  const token = await open();
  assert.deepEqual([token.list(), token.wrappingKeys()], [[], []]);
  assert.deepEqual(await TokenDevice.objects(token, deviceId), []);
  const device = await TokenDevice.create(directory, token, { deviceId });
  const counter = await device.counter();
  assert.deepEqual(await counter.read(), { value: 0, bundleVersion: undefined });
  await counter.step(0, 3);
  plantAll(ids);
  await token.end();

  const again = await open();
  const opened = TokenDevice.open(directory, again, { deviceId });
  using secret = await opened.secret();
  assert.equal(secret.length, 32);
  await opened.signer().sign(Buffer.from('x'));
  assert.deepEqual(await (await opened.counter()).read(), { value: 1, bundleVersion: 3 });
  assert.equal((await TokenDevice.objects(again, deviceId)).length, 3);

  const stuck = { type: 0x172 /* CKA_DESTROYABLE */, value: false };
  plant([...secretKey(seal), stuck]);
  plant([
    { type: CKA.CLASS, value: CKO_DATA },
    { type: CKA.APPLICATION, value: 'keystead counter' },
    { type: CKA.LABEL, value: ids.counter },
    { type: CKA.VALUE, value: Buffer.from(formatCounter({ version: 1, value: 9, mark: '00'.repeat(16) })) },
    stuck,
  ]);
  plant([
    { type: CKA.CLASS, value: CKO_PUBLIC_KEY },
    { type: CKA.KEY_TYPE, value: 3 },
    { type: CKA.ID, value: Buffer.from(objectIdOf(idevid)) },
    { type: CKA.EC_PARAMS, value: Buffer.from('06082a8648ce3d030107', 'hex') },
    { type: CKA.EC_POINT, value: Buffer.concat([Buffer.from([4, 65, 4]), Buffer.alloc(64, 9)]) },
    stuck,
  ]);
  const gone = await TokenDevice.wipe(directory, again, { deviceId });
  assert.equal(gone.length, 4);
  assert.deepEqual(await TokenDevice.objects(again, deviceId), []);
  await assert.rejects(opened.secret(), KeysteadError);
  await again.end();
});

test('another token that comes under the same label while the agent runs gets no PIN, and is told by its serial number', async () => {
  const token = await open();
  const device = await TokenDevice.create(join(work, 'swapped'), token, { deviceId: 'pump-2' });
  const { serialNumber } = token.facts.token;
  const tokens = join(hsm.dir, 'tokens');
  hsm.unplug();
  mkdirSync(tokens);
  hsm.addToken('one');
  await assert.rejects(device.secret(), (error: unknown) => {
    assert.ok(error instanceof KeysteadError && error.code === 'keystore.token-absent', String(error));
    assert.match(error.seen ?? '', new RegExp(`another one of that name, serial \\w+ and not ${serialNumber}`));
    return true;
  });
  renameSync(tokens, `${tokens}.other`);
  hsm.plug();
  await worksAgain(device);
  await token.end();
});
