import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { Channel, Tpm } from '@keystead/tpm2';
import type { Swtpm } from '../../tpm2/tests/swtpm.ts';
import { tpmOfFile } from '../../tpm2/tests/tpm-of-file.ts';
import { acceptIssued, DeviceState, RollbackGuard, type StateCounter, TpmCounter, TpmDevice } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { MemoryDisk, PowerCut } from './memory-disk.ts';

const fleet = new Fleet();
const { clock } = fleet;
const secret = SecretBytes.random(32);
let swtpm: Swtpm;
let tpm: Tpm;
tpmOfFile({}, (...made) => {
  [tpm, swtpm] = made;
});

const rolledBack = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'state.rolled-back';
const at = '/device';

function stateOn(disk: MemoryDisk): DeviceState {
  const trusted = { fleet: 'pumps', version: 3, sha256: '00'.repeat(32), signers: [], firmware: [] };
  return DeviceState.create(at, {
    deviceId: 'pump-1',
    anchors: [fleet.root.certificate],
    secret,
    disk,
    trust: { state: trusted, filters: [], provenTime: 1 },
  });
}

/** A copy has the lock of this process in it, which lives. */
function unlocked(disk: MemoryDisk): MemoryDisk {
  for (const name of disk.list(at)) if (name.startsWith('lock')) disk.unlink(`${at}/${name}`);
  return disk;
}

async function renew(state: DeviceState): Promise<void> {
  const { csr } = await state.beginKey('ldevid');
  acceptIssued(state, deviceCertificate(fleet, 'ldevid', csr, { seconds: 90 * 86_400 }), clock);
  state.promote();
}

/** A counter in memory, whose steps take a turn of the event loop and can lose their answers. */
class Counting implements StateCounter {
  value = 7;
  version: number | undefined;
  #from: number | undefined;
  during = (): void => {};
  lost = false;

  async read() {
    return { value: this.value, bundleVersion: this.version };
  }

  async step(from: number, bundleVersion: number): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.during();
    if (this.value !== from && this.#from !== from)
      throw new KeysteadError('counter.moved', { field: 'counter', seen: String(this.value) });
    if (this.value === from) this.value += 1;
    this.#from = from;
    this.version = bundleVersion;
    if (this.lost) throw new KeysteadError('keystore.token-absent', { field: 'token' });
    this.#from = undefined;
  }
}

test('REQ-KEY-REV-04: a renewal and a bundle that settle at once are one step, and the state is the newest still', async () => {
  const disk = new MemoryDisk();
  const state = stateOn(disk);
  const counter = new Counting();
  const guard = await RollbackGuard.open(state, counter);
  await renew(state);
  await Promise.all([guard.settle(), guard.settle(), guard.settle()]);
  assert.deepEqual([counter.value, state.generation], [9, 9]);
  state.close();
  const again = DeviceState.open(at, { secret, disk });
  await RollbackGuard.open(again, counter);
  again.close();
});

for (const answer of ['comes', 'is lost'] as const) {
  test(`REQ-KEY-REV-04: what changes while a step is under way has a number of its own, when its answer ${answer}`, async () => {
    const disk = new MemoryDisk();
    const state = stateOn(disk);
    const counter = new Counting();
    const guard = await RollbackGuard.open(state, counter);
    await renew(state);
    const image = disk.afterCut('everything written is left');
    const { trust = assert.fail('no trust') } = state;
    counter.during = () => {
      counter.during = () => {};
      state.keepTrust({ ...trust, state: { ...trust.state, version: 4 } });
    };
    counter.lost = answer === 'is lost';
    if (counter.lost) {
      await assert.rejects(guard.settle(), { code: 'keystore.token-absent' });
      counter.lost = false;
    }
    await guard.settle();
    assert.deepEqual([counter.value, counter.version, state.generation], [10, 4, 10]);
    state.close();
    const old = DeviceState.open(at, { secret, disk: unlocked(image) });
    await assert.rejects(RollbackGuard.open(old, counter), rolledBack, 'the image of before the bundle');
    old.close();
  });
}

test('REQ-KEY-REV-04: a recovery that the power cuts leaves an image that is refused still, or one that has given up its credentials', async () => {
  const disk = new MemoryDisk();
  const state = stateOn(disk);
  const counter = new Counting();
  const guard = await RollbackGuard.open(state, counter);
  await renew(state);
  await guard.settle();
  state.close();
  counter.value += 5;
  counter.version = 9;
  let cuts = 0;
  for (let cutAt = 0; ; cutAt += 1) {
    const image = disk.afterCut('everything written is left');
    const opened = DeviceState.open(at, { secret, disk: image });
    const own = new Counting();
    own.value = counter.value;
    own.version = counter.version;
    image.cutAt = image.operations + cutAt;
    const done = await RollbackGuard.recover(opened, own).then(
      () => true,
      (error: unknown) => assert.ok(error instanceof PowerCut, String(error)),
    );
    for (const how of ['nothing unsynced is left', 'everything written is left'] as const) {
      const found = DeviceState.open(at, { secret, disk: unlocked(image.afterCut(how)) });
      const after = new Counting();
      after.value = own.value;
      after.version = own.version;
      await RollbackGuard.open(found, after).then(
        () => {
          assert.equal(found.credential('current'), undefined, `cut ${cutAt}, ${how}`);
          assert.equal(found.trust?.leastVersion, 9);
        },
        (error: unknown) => {
          assert.ok(rolledBack(error), String(error));
          cuts += 1;
        },
      );
      found.close();
    }
    if (done) break;
  }
  assert.ok(cuts > 3);
});

/** The TPM as it is when the n-th of these commands was carried out and nobody heard of it; Infinity: never. */
function losing(command: string, nth: number): Tpm {
  let left = nth;
  const run: Channel['run'] = async () => assert.fail('a channel');
  return new Proxy(tpm, {
    get: (real, name) =>
      name !== 'use'
        ? Reflect.get(real, name, real)
        : (work: (channel: Channel) => Promise<unknown>) =>
            real.use((channel) =>
              work(
                new Proxy(channel, {
                  get(whole, key) {
                    const value = Reflect.get(whole, key, whole);
                    if (key !== 'run') return typeof value === 'function' ? value.bind(whole) : value;
                    const lossy: typeof run = async (asked, options) => {
                      const answer = await whole.run(asked, options);
                      if (asked === command) left -= 1;
                      if (asked === command && left === 0) throw new PowerCut(command);
                      return answer;
                    };
                    return lossy;
                  },
                }),
              ),
            ),
  });
}

test('REQ-KEY-REV-04: a step of the TPM whose answer is lost is taken once, and the device has its state still', async () => {
  const { storageRoot } = await TpmDevice.create('/tpm', tpm, { clock, disk: new MemoryDisk() });
  const disk = new MemoryDisk();
  const state = stateOn(disk);
  await RollbackGuard.open(state, await TpmCounter.open(tpm, { secret, storageRoot }));
  const guard = await RollbackGuard.open(
    state,
    await TpmCounter.open(losing('NvIncrement', 1), { secret, storageRoot }),
  );
  await renew(state);
  await assert.rejects(guard.settle(), PowerCut);
  await guard.settle();
  state.close();
  const again = DeviceState.open(at, { secret, disk });
  const counter = await TpmCounter.open(tpm, { secret, storageRoot });
  await RollbackGuard.open(again, counter);
  // A mark that was written and a step that was not taken is no step.
  const marked = await RollbackGuard.open(again, await TpmCounter.open(losing('NvWrite', 1), { secret, storageRoot }));
  await renew(again);
  await assert.rejects(marked.settle(), PowerCut);
  await marked.settle();
  assert.equal((await counter.read()).value, again.generation);
  again.close();
  await TpmCounter.undefine(tpm);
});

test('TEST-KEY-24: a counter that a power cut left half made is made again, and one half undefined is undefined', async () => {
  const { storageRoot } = await TpmDevice.create('/tpm', tpm, { clock, disk: new MemoryDisk() });
  const places = (): number => [...swtpm.tool('tpm2_getcap', 'handles-nv-index').matchAll(/0x1A5001[01]/gi)].length;
  for (const [command, nth] of [
    ['NvDefineSpace', 1],
    ['NvDefineSpace', 2],
    ['NvWrite', 1],
  ] as const) {
    await assert.rejects(TpmCounter.open(losing(command, nth), { secret, storageRoot }), PowerCut);
    const counter = await TpmCounter.open(tpm, { secret, storageRoot });
    const { value, bundleVersion } = await counter.read();
    assert.equal(bundleVersion, undefined);
    await counter.step(value, 3);
    assert.deepEqual(await counter.read(), { value: value + 1, bundleVersion: 3 }, `${command} ${nth}`);
    assert.equal(places(), 2);
    await assert.rejects(TpmCounter.undefine(losing('NvUndefineSpace', 1)), PowerCut);
    assert.equal(places(), 1);
    await TpmCounter.undefine(tpm);
    assert.equal(places(), 0, 'nothing is left');
    await TpmCounter.undefine(tpm);
  }
});
