import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, toPem } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { signWipeEvidence, verifyWipeEvidence } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { PIN, SOFTHSM, SoftHsmTokens } from '@keystead/pkcs11/tests/softhsm-tokens.ts';
import { Swtpm } from '../../tpm2/tests/swtpm.ts';
import { openDevice } from '../daemon/agent.ts';
import { type AgentConfig, readConfig } from '../daemon/config.ts';
import { openKeyHolder } from '../daemon/key-holder.ts';
import { wipeDevice } from '../daemon/wipe.ts';
import { acceptIssued } from '../index.ts';
import type { WipeReport } from '../state/index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';

const fleet = new Fleet(new Date());
const { clock } = fleet;
const work = mkdtempSync(join(tmpdir(), 'keystead-wipe-again-'));
let hsm: SoftHsmTokens;
let swtpm: Swtpm;
before(async () => {
  hsm = new SoftHsmTokens('one');
  swtpm = await Swtpm.start();
  writeFileSync(join(work, 'anchors.pem'), toPem('CERTIFICATE', fleet.root.certificate));
  const { spki } = readCertificate(fleet.root.certificate);
  writeFileSync(join(work, 'signer.pem'), toPem('PUBLIC KEY', spki));
  writeFileSync(join(work, 'pin'), PIN, { mode: 0o600 });
});
after(async () => {
  await swtpm?.stop();
  hsm?.remove();
  rmSync(work, { recursive: true });
});

type Store = 'pkcs11' | 'tpm' | 'sealed';
let made = 0;

/** A device with its IDevID. @returns its configuration, and where its key's files are. */
async function device(store: Store): Promise<{ config: AgentConfig; keys: string; idevid: DerCertificate }> {
  made += 1;
  const folder = join(work, `pump-${made}`);
  mkdirSync(folder);
  const key =
    store === 'tpm'
      ? { store, directory: 'key', address: swtpm.address }
      : store === 'sealed'
        ? { store, secretFile: 'secret' }
        : { store, directory: 'key', module: SOFTHSM, token: { label: 'one' }, pin: { file: join(work, 'pin') } };
  if (store === 'sealed') writeFileSync(join(folder, 'secret'), randomBytes(32), { mode: 0o600 });
  const signers = [{ key: join(work, 'signer.pem'), from: '2020-01-01T00:00:00Z', until: '2049-12-31T00:00:00Z' }];
  writeFileSync(
    join(folder, 'agent.json'),
    JSON.stringify({
      deviceId: `pump-${made}`,
      state: 'state',
      run: 'run',
      anchors: join(work, 'anchors.pem'),
      key,
      server: { est: 'https://localhost:1', trust: 'http://localhost:1' },
      fleet: { name: 'pumps', signers },
    }),
  );
  const config = readConfig(join(folder, 'agent.json'));
  const { holder, state } = await openDevice(config, clock, { make: true });
  const { csr } =
    holder.signer === undefined ? await state.beginKey('idevid') : await state.beginHeldKey('idevid', holder.signer);
  const [leaf = assert.fail('no certificate'), ...chain] = deviceCertificate(fleet, 'idevid', csr);
  acceptIssued(state, [leaf, ...chain], clock);
  state.close();
  await holder.close();
  return { config, keys: join(folder, 'key'), idevid: leaf };
}

/** What the store still has of the device. */
async function left(config: AgentConfig): Promise<readonly string[]> {
  if (config.key.store === 'tpm') return swtpm.tool('tpm2_getcap', 'handles-nv-index').match(/0x1A5001[01]/gi) ?? [];
  const holder = await openKeyHolder(config, clock, 'destroy');
  try {
    return await holder.holds();
  } finally {
    await holder.close();
  }
}

const codeOf = (code: string) => (error: unknown) => error instanceof KeysteadError && error.code === code;

for (const [store, file] of [
  ['pkcs11', 'token.json'],
  ['tpm', 'secret.tpm2'],
] as const) {
  test(`TEST-KEY-24: a wipe that was cut short when ${file} was gone is taken up again, with its evidence`, async () => {
    const { config, keys, idevid } = await device(store);
    // The cut: the tombstone is there, the state half erased, the first file of the store gone.
    const report = await wipeUntilTombstone(config);
    assert.equal((await left(config)).length, store === 'pkcs11' ? 3 : 2);
    rmSync(join(keys, file));
    const again = await wipeDevice(config, clock);
    assert.equal(again.report.evidence, report.evidence);
    verifyWipeEvidence(again.report.evidence ?? '', readCertificate(idevid).spki);
    assert.ok(again.objects.length >= 2, again.objects.join());
    assert.deepEqual(await left(config), []);
    assert.deepEqual(readdirSync(keys), []);
    assert.deepEqual((await wipeDevice(config, clock)).objects, [], 'and again there is nothing');
  });

  test(`TEST-KEY-24: a device whose ${file} was lost before its wipe is wiped without evidence, and only when that is asked for`, async () => {
    const { config, keys } = await device(store);
    rmSync(join(keys, file));
    await assert.rejects(wipeDevice(config, clock), (error: unknown) => {
      assert.match(error instanceof KeysteadError ? (error.toJSON().remedy ?? '') : '', /--without-evidence/);
      return codeOf('state.missing')(error);
    });
    assert.ok((await left(config)).length > 0, 'nothing was destroyed');
    const { report, objects } = await wipeDevice(config, clock, { unsigned: true });
    assert.equal(report.evidence, undefined);
    assert.ok(report.files.some(({ name }) => name === 'state'));
    assert.ok(objects.length >= 2);
    assert.deepEqual(await left(config), []);
    assert.deepEqual(
      readdirSync(config.state).filter((name) => !name.startsWith('lock')),
      ['wiped.json'],
    );
  });
}

/** The wipe up to its decision: evidence and tombstone are durable, and of the store nothing is destroyed yet. */
async function wipeUntilTombstone(config: AgentConfig): Promise<WipeReport> {
  const { state, holder } = await openDevice(config, clock);
  const { certificate } = state.identity('idevid');
  const evidence = await signWipeEvidence(
    {
      v: 1,
      deviceId: config.deviceId,
      at: clock.now().toISOString(),
      wiped: ['everything'],
      idevidSerial: readCertificate(certificate).serial,
      limits: 'none',
    },
    holder.signer ?? assert.fail('no key'),
  );
  const report = state.wipe(clock.now(), evidence);
  await holder.close();
  return report;
}

test('TEST-KEY-24: an older image of the state is wiped like the newest, with evidence, also beside a lost+found', async () => {
  const { config, idevid } = await device('tpm');
  const image = `${config.state}-image`;
  cpSync(config.state, image, { recursive: true });
  const { state, holder, guard } = await openDevice(config, clock);
  state.startOver((state.generation ?? 0) + 1, 0);
  await guard?.settle();
  state.close();
  await holder.close();
  rmSync(config.state, { recursive: true });
  cpSync(image, config.state, { recursive: true });
  chmodSync(config.state, 0o700);
  mkdirSync(join(config.state, 'lost+found'));
  await assert.rejects(openDevice(config, clock), codeOf('state.rolled-back'));
  const { report } = await wipeDevice(config, clock);
  verifyWipeEvidence(report.evidence ?? '', readCertificate(idevid).spki);
  assert.deepEqual(await left(config), []);
});

test('a request after a wipe that was cut short makes no new key on the token, and a configuration of nothing is no device', async () => {
  const { config } = await device('pkcs11');
  await wipeUntilTombstone(config);
  await wipeDevice(config, clock);
  await assert.rejects(openDevice(config, clock, { make: true }), codeOf('state.wiped'));
  assert.deepEqual(await left(config), []);
  const nowhere = { ...config, deviceId: 'pump-none', state: join(work, 'nowhere') };
  await assert.rejects(wipeDevice(nowhere, clock, { unsigned: true }), codeOf('state.missing'));
  // A report that rotted has taken its evidence along; what is left is destroyed all the same.
  writeFileSync(join(config.state, 'wiped.json'), '{');
  assert.equal((await wipeDevice(config, clock)).report.evidence, undefined);
  assert.match(readFileSync(join(config.state, 'wiped.json'), 'utf8'), /overwritten/);
});

/** What the IDevID would sign with, lost or spoilt in the ways that the stores know. */
const LOSSES: readonly (readonly [string, Store, (config: AgentConfig) => void | Promise<void>])[] = [
  ['secret was lost', 'sealed', ({ state }) => rmSync(join(state, '..', 'secret'))],
  [
    'IDevID key rotted in its file',
    'sealed',
    ({ state }) => {
      const file = readdirSync(state).find((name) => name.startsWith('key.')) ?? assert.fail('no key');
      writeFileSync(join(state, file), 'rotten');
    },
  ],
  [
    'IDevID key is gone from its token',
    'pkcs11',
    async (config) => {
      const named = (await left(config)).find((name) => name.includes('.idevid'));
      const [label = assert.fail('no key')] = /agent\.[0-9a-f]{16}\.idevid/.exec(named ?? '') ?? [];
      const tool = ['--module', SOFTHSM, '--token-label', 'one', '--login', '--pin', PIN];
      const { status, stderr } = spawnSync(
        'pkcs11-tool',
        [...tool, '--delete-object', '--type', 'privkey', '--label', label],
        { encoding: 'utf8' },
      );
      assert.equal(status, 0, stderr);
    },
  ],
];

for (const [what, store, lose] of LOSSES) {
  test(`TEST-KEY-24: a device whose ${what} is wiped without evidence, and only when that is asked for`, async () => {
    const { config } = await device(store);
    await lose(config);
    await assert.rejects(wipeDevice(config, clock), (error: unknown) => {
      assert.match(error instanceof KeysteadError ? (error.toJSON().remedy ?? '') : '', /--without-evidence/);
      return true;
    });
    assert.ok(!readdirSync(config.state).includes('wiped.json'), 'nothing was destroyed');
    const { report } = await wipeDevice(config, clock, { unsigned: true });
    assert.equal(report.evidence, undefined);
    const rest = readdirSync(config.state).filter((name) => !name.startsWith('lock'));
    assert.deepEqual(rest, ['wiped.json']);
    if (store === 'pkcs11') assert.deepEqual(await left(config), []);
  });
}
