import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { verifyWipeEvidence } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { Tpm } from '@keystead/tpm2';
import { run, type Swtpm } from '../../tpm2/tests/swtpm.ts';
import { tpmOfFile } from '../../tpm2/tests/tpm-of-file.ts';
import { openDevice } from '../daemon/agent.ts';
import { readConfig } from '../daemon/config.ts';
import { wipeDevice } from '../daemon/wipe.ts';
import {
  acceptIssued,
  DeviceState,
  deviceRules,
  HttpTrustSource,
  provision,
  RollbackGuard,
  type StateCounter,
  TpmCounter,
  TpmDevice,
  TrustUpdater,
} from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { TrustHouse } from './trust-house.ts';

const work = mkdtempSync(join(tmpdir(), 'keystead-rollback-'));
const fleet = new Fleet(new Date('2027-01-15T12:00:00Z'));
let house: TrustHouse;
let swtpm: Swtpm;
let tpm: Tpm;
tpmOfFile({}, (...made) => {
  [tpm, swtpm] = made;
});
before(async () => {
  house = await TrustHouse.start(fleet);
  await house.publish();
});
after(async () => {
  await house.stop();
  rmSync(work, { recursive: true });
});

const rolledBack = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'state.rolled-back';

/** A device with its secret in the TPM, an LDevID, and the first bundle. */
async function device(name: string) {
  const directory = join(work, name, 'state');
  const inTpm = await TpmDevice.create(join(work, name, 'tpm'), tpm, { clock: fleet.clock });
  const secret = await inTpm.secret();
  const opening = { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret, trust: house.factoryTrust() };
  const state = DeviceState.create(directory, opening);
  const { storageRoot } = inTpm;
  await provision(
    state,
    fleet.clock,
    async (csr) => {
      const [certificate, ...chain] = deviceCertificate(fleet, 'idevid', csr);
      return { certificate: certificate ?? assert.fail('no certificate'), chain };
    },
    inTpm.signer(),
  );
  const counter = () => TpmCounter.open(tpm, { secret, storageRoot });
  const open = () => DeviceState.open(directory, { secret });
  return { directory, secret, state, counter, open };
}

async function renew(state: DeviceState): Promise<void> {
  const { csr } = await state.beginKey('ldevid');
  acceptIssued(state, deviceCertificate(fleet, 'ldevid', csr, { seconds: 90 * 86_400 }), fleet.clock);
  state.promote();
}

const updater = (state: DeviceState, guard: RollbackGuard) =>
  new TrustUpdater({
    state,
    source: new HttpTrustSource(house.url),
    clock: fleet.clock,
    settled: () => guard.settle(),
  });

test('TEST-KEY-10 a state directory restored from an old image is refused by the TPM counter, and recovered by the IDevID', async () => {
  const { directory, state, counter, open } = await device('old-image');
  const count = await counter();
  const guard = await RollbackGuard.open(state, count);
  await updater(state, guard).update();
  await renew(state);
  await guard.settle();
  const image = join(work, 'image');
  state.close();
  run('cp', ['-a', directory, image]);

  // The newest image is taken, after a cold boot of the machine as well.
  await swtpm.end();
  await swtpm.boot();
  const again = open();
  const opened = await RollbackGuard.open(again, count);
  await house.publish();
  assert.equal((await updater(again, opened).update()).type, 'taken');
  await renew(again);
  await opened.settle();
  again.close();

  rmSync(directory, { recursive: true });
  run('cp', ['-a', image, directory]);
  const restored = open();
  await assert.rejects(RollbackGuard.open(restored, count), rolledBack);
  assert.ok(restored.credential('current'), 'looking has changed nothing');
  const recovered = await RollbackGuard.recover(restored, count);
  assert.equal(restored.credential('current'), undefined, 'it has to enrol again');
  assert.ok(restored.credential('idevid'));
  const trust = updater(restored, recovered);
  assert.ok(trust.carried === undefined, 'the old bundle is not gone by');
  const rules = deviceRules({ state: restored, clock: fleet.clock, carried: () => trust.carried }, 'server');
  assert.deepEqual(rules.anchors, [], 'nor are the anchors that a bundle may have taken away');
  const newest = house.files.get('/trust/latest') ?? assert.fail('none');
  house.files.set('/trust/latest', house.files.get('/trust/bundles/1') ?? assert.fail('none'));
  await assert.rejects(
    trust.update(),
    { code: 'trust-bundle.rolled-back' },
    'the counter knows that there was a newer one',
  );
  house.files.set('/trust/latest', newest);
  await trust.update();
  await renew(restored);
  await recovered.settle();
  restored.close();
  const last = open();
  await RollbackGuard.open(last, count);
  last.close();
  await TpmCounter.undefine(tpm);
  assert.doesNotMatch(swtpm.tool('tpm2_getcap', 'handles-nv-index'), /0x1A50010/i);
});

test('an image of before the counting is refused, and so is a counter that another has stepped', async () => {
  const { directory, state, counter, open } = await device('before');
  const image = join(work, 'image-before');
  state.close();
  run('cp', ['-a', directory, image]);
  const first = open();
  const count = await counter();
  const guard = await RollbackGuard.open(first, count);
  await count.step((await count.read()).value, 1);
  await renew(first);
  await assert.rejects(guard.settle(), rolledBack);
  first.close();
  rmSync(directory, { recursive: true });
  run('cp', ['-a', image, directory]);
  const old = open();
  await assert.rejects(RollbackGuard.open(old, count), rolledBack);
  old.close();
  await TpmCounter.undefine(tpm);
});

test('the power is cut between a change and its count: the state is the newest still, and is counted when it is opened', async () => {
  const { state, open } = await device('cut');
  let value = 40;
  let version: number | undefined;
  const counter: StateCounter = {
    read: async () => ({ value, bundleVersion: version }),
    step: async (from, bundleVersion) => {
      assert.equal(from, value);
      version = bundleVersion;
      value += 1;
    },
  };
  await RollbackGuard.open(state, counter);
  assert.deepEqual([value, state.generation], [41, 41]);
  await renew(state);
  await renew(state);
  assert.deepEqual([value, state.generation], [41, 42], 'not counted yet: the power is cut here');
  state.close();
  const again = open();
  await RollbackGuard.open(again, counter);
  assert.deepEqual([value, again.generation], [42, 42]);
  again.close();
});

test('TEST-KEY-24 a device whose key is in its TPM is wiped: signed evidence first, then no file, no object, no counter is left', async () => {
  const folder = join(work, 'wiped');
  mkdirSync(folder);
  writeFileSync(join(folder, 'anchors.pem'), toPem('CERTIFICATE', fleet.root.certificate));
  writeFileSync(join(folder, 'signer.pem'), toPem('PUBLIC KEY', house.signer.spki));
  const file = join(folder, 'agent.json');
  const settings = {
    deviceId: 'pump-9',
    state: 'state',
    run: 'run',
    anchors: 'anchors.pem',
    key: { store: 'tpm', directory: 'tpm', address: swtpm.address },
    server: { est: 'https://localhost:1', trust: house.url },
    fleet: {
      name: 'pumps',
      signers: [{ key: 'signer.pem', from: '2020-01-01T00:00:00Z', until: '2049-12-31T00:00:00Z' }],
    },
  };
  writeFileSync(file, JSON.stringify(settings));
  const config = readConfig(file);
  // One connection to an swtpm at a time.
  await tpm.close();
  const { holder, state } = await openDevice(config, fleet.clock, { make: true });
  const { csr } = await state.beginHeldKey('idevid', holder.signer ?? assert.fail('no key in the TPM'));
  const idevid = deviceCertificate(fleet, 'idevid', csr);
  acceptIssued(state, idevid, fleet.clock);
  assert.match(swtpm.tool('tpm2_getcap', 'handles-nv-index'), /0x1A50010/i);
  state.close();
  await holder.close();

  writeFileSync(file, JSON.stringify({ ...settings, key: { ...settings.key, counter: false } }));
  await assert.rejects(openDevice(readConfig(file), fleet.clock), rolledBack, 'not counting is no way around it');

  const { report, objects } = await wipeDevice(config, fleet.clock);
  const { spki, serial } = readCertificate(idevid[0] ?? assert.fail('no certificate'));
  const claims = verifyWipeEvidence(report.evidence ?? '', spki);
  assert.deepEqual([claims.deviceId, claims.idevidSerial], ['pump-9', serial]);
  assert.ok(claims.wiped.includes('IDevID key and device secret: objects of the TPM'));
  assert.deepEqual(objects, [
    'TPM NV counter of the state',
    ...['secret', 'idevid', 'attestation'].map((name) => `TPM object ${name}.tpm2`),
  ]);
  assert.doesNotMatch(swtpm.tool('tpm2_getcap', 'handles-nv-index'), /0x1A50010/i);
  assert.deepEqual(readdirSync(join(folder, 'tpm')), []);
  assert.equal((await wipeDevice(config, fleet.clock)).report.evidence, report.evidence, 'and again');
});
