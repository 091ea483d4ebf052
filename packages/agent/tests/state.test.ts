import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { randomBytes, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { parseCsr, verifyProofOfPossession } from '@keystead/core/x509';
import { acceptIssued, DeviceState } from '../index.ts';
import { nodeDisk } from '../state/disk.ts';
import { DirectoryLock, isAlive, thisProcess } from '../state/lock.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { type Cut, MemoryDisk, PowerCut } from './memory-disk.ts';

const work = mkdtempSync(join(tmpdir(), 'keystead-state-'));
after(() => rmSync(work, { recursive: true, force: true }));
const fleet = new Fleet();
const secret = SecretBytes.random(32);
const fresh = (): string => join(mkdtempSync(join(work, 'device-')), 'state');
const failsWith = (code: string) => (error: unknown) => error instanceof KeysteadError && error.code === code;
const create = (directory: string): DeviceState =>
  DeviceState.create(directory, { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret });

async function takeCertificate(state: DeviceState, purpose: 'idevid' | 'ldevid'): Promise<void> {
  const { csr } = await state.beginKey(purpose);
  acceptIssued(state, deviceCertificate(fleet, purpose, csr), fleet.clock);
}

test('a device state holds its keys, certificates and anchors over a restart', async () => {
  const directory = fresh();
  const state = create(directory);
  await takeCertificate(state, 'idevid');
  await takeCertificate(state, 'ldevid');
  state.promote();
  await takeCertificate(state, 'ldevid');
  state.promote();
  const { pending } = { pending: await state.beginKey('ldevid') };
  const before = (['idevid', 'current', 'previous'] as const).map((slot) => state.credential(slot)?.keyId);
  state.close();

  using again = DeviceState.open(directory, { secret });
  assert.equal(again.deviceId, 'pump-1');
  assert.deepEqual(again.anchors, [fleet.root.certificate]);
  assert.deepEqual(
    (['idevid', 'current', 'previous'] as const).map((slot) => again.credential(slot)?.keyId),
    before,
  );
  assert.deepEqual(again.pending?.csr, pending.csr);
  assert.deepEqual((await again.beginKey('ldevid')).csr, pending.csr, 'a retry sends the same request');
  assert.ok(again.identity('current').withKey((pkcs8) => pkcs8.length) > 100);
});

test('no file of the state holds key bytes in clear, and only the owner can read them', async () => {
  const directory = fresh();
  using state = create(directory);
  await takeCertificate(state, 'idevid');
  const key = state.identity('idevid').withKey((pkcs8) => Buffer.from(pkcs8));
  // The 32 octets of the P-256 scalar stand behind a fixed prefix (RFC 5915 in RFC 5208).
  const scalar = key.subarray(36, 68);
  for (const name of readdirSync(directory)) {
    const path = join(directory, name);
    assert.equal(statSync(path).mode & 0o077, 0, name);
    assert.equal(readFileSync(path).includes(scalar), false, name);
    assert.equal(readFileSync(path, 'latin1').includes(scalar.toString('base64').slice(0, 40)), false, name);
  }
  assert.equal(statSync(directory).mode & 0o777, 0o700);
});

test('the request that a device makes proves possession and names the device', async () => {
  using state = create(fresh());
  const csr = parseCsr((await state.beginKey('ldevid')).csr);
  verifyProofOfPossession(csr);
  assert.deepEqual(
    csr.subject.rdns.map(({ type, value }) => `${type}=${value}`),
    ['CN=pump-1', 'serialNumber=pump-1'],
  );
  assert.deepEqual(csr.requested.subjectAltName, ['URI:urn:keystead:device:pump-1']);
});

test('every truncation and every flipped byte of the state file is noticed', async () => {
  const directory = fresh();
  const state = create(directory);
  await takeCertificate(state, 'idevid');
  state.close();
  const path = join(directory, 'state');
  const whole = readFileSync(path);
  for (let length = 0; length < whole.length; length += 7) {
    truncateSync(path, length);
    assert.throws(() => DeviceState.open(directory, { secret }), failsWith('state.damaged'), `cut to ${length}`);
    writeFileSync(path, whole);
  }
  for (let at = 0; at < whole.length; at += 11) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] ?? 0) ^ 0x10;
    writeFileSync(path, flipped);
    assert.throws(() => DeviceState.open(directory, { secret }), failsWith('state.damaged'), `byte ${at}`);
  }
  writeFileSync(path, whole);
  DeviceState.open(directory, { secret }).close();
  assert.throws(() => DeviceState.open(directory, { secret: SecretBytes.random(32) }), failsWith('state.damaged'));
});

test('a key file that was damaged, removed or swapped for another is noticed when the key is used', async () => {
  const directory = fresh();
  using state = create(directory);
  await takeCertificate(state, 'idevid');
  await takeCertificate(state, 'ldevid');
  const [first = '', second = ''] = readdirSync(directory).filter((name) => name.startsWith('key.'));
  const use = (): unknown =>
    state.identity('idevid').withKey((key) => key.length) + state.identity('pending').withKey((key) => key.length);
  const firstBytes = readFileSync(join(directory, first));
  writeFileSync(join(directory, first), readFileSync(join(directory, second)));
  assert.throws(use, failsWith('state.damaged'));
  writeFileSync(join(directory, first), firstBytes.subarray(0, 60));
  assert.throws(use, failsWith('state.damaged'));
  rmSync(join(directory, first));
  assert.throws(use, failsWith('state.damaged'));
});

test('a second agent on the same directory is refused until the first has closed or died', () => {
  const directory = fresh();
  const state = create(directory);
  assert.throws(() => DeviceState.open(directory, { secret }), failsWith('state.locked'));
  state.close();
  const again = DeviceState.open(directory, { secret });
  again.close();
  // A holder that is no more: this machine, a process that ended.
  const disk = nodeDisk;
  DirectoryLock.take(disk, directory, { ...thisProcess(), started: '1' });
  assert.equal(isAlive({ ...thisProcess(), started: '1' }), false);
  assert.equal(isAlive(thisProcess()), true);
  DeviceState.open(directory, { secret }).close();
});

test('of two agents that both find a dead lock only one gets it', () => {
  const directory = fresh();
  create(directory).close();
  const rival = { won: 0, lost: 0 };
  // The rival acts between our look at the lock and our attempt to take it.
  const racing = {
    ...nodeDisk,
    link(from: string, to: string): void {
      DirectoryLock.take(nodeDisk, directory);
      rival.won += 1;
      nodeDisk.link(from, to);
    },
  };
  assert.throws(() => DirectoryLock.take(racing, directory), failsWith('state.locked'));
  assert.equal(rival.won, 1);
  assert.throws(() => DirectoryLock.take(nodeDisk, directory), failsWith('state.locked'));
});

test('a directory that others may enter, a missing one and a second creation are refused', () => {
  const directory = fresh();
  create(directory).close();
  assert.throws(() => create(directory), failsWith('state.exists'));
  chmodSync(directory, 0o750);
  assert.throws(() => DeviceState.open(directory, { secret }), failsWith('state.permissions'));
  chmodSync(directory, 0o700);
  assert.throws(() => DeviceState.open(fresh(), { secret }), failsWith('state.missing'));
  assert.throws(
    () => DeviceState.create(fresh(), { deviceId: '../x', anchors: [], secret }),
    failsWith('device.id-malformed'),
  );
});

/** The life of a device up to its third key, telling of each step when it is acknowledged. */
async function live(disk: MemoryDisk, acknowledge: (step: string) => void): Promise<void> {
  const state = DeviceState.create('/device', { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret, disk });
  acknowledge('created');
  await takeCertificate(state, 'idevid');
  acknowledge('idevid');
  for (const round of ['first', 'second', 'third']) {
    await takeCertificate(state, 'ldevid');
    acknowledge(`${round} certificate`);
    state.promote();
    acknowledge(`${round} promoted`);
  }
  state.retirePrevious();
  acknowledge('retired');
  state.close();
}

const CUTS: readonly Cut[] = [
  'nothing unsynced is left',
  'everything written is left',
  'names are left, contents are torn',
];

test('a power cut at any write step leaves a usable state that lost nothing acknowledged', async () => {
  const whole = new MemoryDisk();
  await live(whole, () => undefined);
  const steps = whole.operations;
  assert.ok(steps > 80, `${steps} steps`);
  const promoted = ['first promoted', 'second promoted', 'third promoted'];
  let opened = 0;
  for (let cutAt = 0; cutAt < steps; cutAt += 1) {
    const disk = new MemoryDisk();
    disk.cutAt = cutAt;
    const acknowledged: string[] = [];
    try {
      await live(disk, (step) => acknowledged.push(step));
      // Only freeing the lock may fail unsaid: the machine is off, and nobody holds it.
      assert.equal(acknowledged.at(-1), 'retired');
    } catch (error) {
      assert.ok(error instanceof PowerCut, String(error));
    }
    for (const cut of CUTS) {
      const left = disk.afterCut(cut);
      const what = `cut at ${cutAt}, ${cut}, after ${acknowledged.at(-1) ?? 'nothing'}`;
      if (acknowledged.length === 0) {
        // Nothing was promised: either it can be opened or it can be made anew.
        try {
          openAfterBoot(left).close();
        } catch (error) {
          assert.ok(failsWith('state.missing')(error), `${what}: ${String(error)}`);
          left.makeDirectory('/device');
          DeviceState.create('/device', { deviceId: 'pump-1', anchors: [], secret, disk: left }).close();
        }
        continue;
      }
      const state = openAfterBoot(left);
      opened += 1;
      const has = (step: string): boolean => acknowledged.includes(step);
      if (has('idevid')) assert.ok(usable(state, 'idevid'), what);
      const done = promoted.filter(has).length;
      if (done > 0) assert.ok(usable(state, 'current'), what);
      if (done > 1 && !has('third promoted'))
        assert.ok(usable(state, 'previous') || state.credential('pending') === undefined, what);
      if (acknowledged.at(-1)?.endsWith('certificate'))
        assert.ok(usable(state, 'pending') || usable(state, 'current'), what);
      for (const slot of ['idevid', 'current', 'previous', 'pending'] as const) {
        if (state.credential(slot) !== undefined) assert.ok(usable(state, slot), `${what}: ${slot} has no key`);
      }
      const keys = left.list('/device').filter((name) => name.startsWith('key.'));
      const named = [
        state.credential('idevid'),
        state.credential('current'),
        state.credential('previous'),
        state.pending,
      ];
      assert.equal(keys.length, named.filter((slot) => slot !== undefined).length, `${what}: keys without a place`);
      // The device goes on from here.
      if (state.credential('idevid') === undefined) await takeCertificate(state, 'idevid');
      if (state.credential('pending') === undefined) await takeCertificate(state, 'ldevid');
      state.promote();
      assert.ok(usable(state, 'current'), what);
      state.close();
    }
  }
  assert.ok(opened > 200);
});

test('a wipe destroys every key and is finished after a power cut at any step', async () => {
  const prepared = async (): Promise<{ disk: MemoryDisk; state: DeviceState }> => {
    const disk = new MemoryDisk();
    const state = DeviceState.create('/device', {
      deviceId: 'pump-1',
      anchors: [fleet.root.certificate],
      secret,
      disk,
    });
    await takeCertificate(state, 'idevid');
    await takeCertificate(state, 'ldevid');
    state.promote();
    await state.beginKey('ldevid');
    return { disk, state };
  };
  const { disk, state } = await prepared();
  const before = disk.operations;
  const report = state.wipe(fleet.clock.now());
  assert.deepEqual(report.files.map((file) => file.part).sort(), ['current', 'idevid', 'pending', 'state']);
  assert.deepEqual(
    disk.list('/device').filter((name) => !name.startsWith('lock.')),
    ['wiped.json'],
  );
  assert.throws(() => state.identity('current').withKey(() => 0), failsWith('state.missing'));
  assert.throws(() => DeviceState.open('/device', { secret, disk }), failsWith('state.wiped'));
  assert.throws(
    () => DeviceState.create('/device', { deviceId: 'pump-1', anchors: [], secret, disk }),
    failsWith('state.wiped'),
  );

  const steps = disk.operations - before;
  for (let cut = 0; cut < steps; cut += 1) {
    const { disk: cutDisk, state: cutState } = await prepared();
    cutDisk.cutAt = cutDisk.operations + cut;
    try {
      cutState.wipe(fleet.clock.now());
    } catch (error) {
      assert.ok(error instanceof PowerCut);
    }
    for (const kind of CUTS) {
      const left = cutDisk.afterCut(kind);
      const begun = left.mode('/device/wiped.json') !== undefined;
      if (!begun) {
        const whole = openAfterBoot(left);
        assert.ok(usable(whole, 'idevid') && usable(whole, 'current'), 'a wipe that did not begin changed nothing');
        whole.close();
      } else {
        assert.throws(() => openAfterBoot(left), failsWith('state.wiped'));
        assert.deepEqual(
          left.list('/device').filter((name) => !name.startsWith('lock.')),
          ['wiped.json'],
          `${kind} at ${cut}`,
        );
      }
    }
  }
});

test('a wipe overwrites the bytes of each key file before it removes the name', async () => {
  const directory = fresh();
  const overwritten: string[] = [];
  const disk = {
    ...nodeDisk,
    openOver(path: string): number {
      overwritten.push(path);
      return nodeDisk.openOver(path);
    },
    unlink(path: string): void {
      if (path.includes('/key.')) assert.ok(overwritten.includes(path), `${path} was removed but not overwritten`);
      nodeDisk.unlink(path);
    },
  };
  const state = DeviceState.create(directory, { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret, disk });
  await takeCertificate(state, 'idevid');
  const report = state.wipe(fleet.clock.now());
  assert.equal(report.files.length, 2);
  assert.deepEqual(
    readdirSync(directory).filter((name) => name.startsWith('key.') || name === 'state'),
    [],
  );
  assert.equal(JSON.parse(readFileSync(join(directory, 'wiped.json'), 'utf8')).deviceId, 'pump-1');
});

test('a disk that is full leaves the state as it was', async () => {
  const directory = fresh();
  let full = false;
  const disk = {
    ...nodeDisk,
    write(file: number, bytes: Uint8Array): void {
      if (full) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
      nodeDisk.write(file, bytes);
    },
  };
  const state = DeviceState.create(directory, { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret, disk });
  await takeCertificate(state, 'idevid');
  const { keyId } = state.identity('idevid').withKey(() => ({ keyId: state.credential('idevid')?.keyId }));
  full = true;
  await assert.rejects(takeCertificate(state, 'ldevid'), { code: 'ENOSPC' });
  full = false;
  assert.equal(state.credential('idevid')?.keyId, keyId);
  state.close();
  using again = DeviceState.open(directory, { secret });
  assert.ok(usable(again, 'idevid'));
  assert.equal(again.pending, undefined);
});

test('an agent killed at a random moment of its renewals loses nothing that it acknowledged', async () => {
  for (let round = 0; round < 12; round += 1) {
    const directory = fresh();
    const child = spawn(process.execPath, [join(import.meta.dirname, 'churn.ts'), directory], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    secret.use((bytes) => child.stdin.end(Buffer.from(bytes)));
    const lines: string[] = [];
    const reader = createInterface(child.stdout).on('line', (line) => lines.push(line));
    await once(reader, 'line');
    const [wait = 0] = randomBytes(1);
    await new Promise((resolve) => setTimeout(resolve, wait / 4));
    child.kill('SIGKILL');
    await once(child, 'close');
    // The dead process's lock is taken over without help.
    using state = DeviceState.open(directory, { secret });
    const [step, keyId] = (lines.at(-1) ?? '').split(' ');
    const slots = ['pending', 'current', 'previous'] as const;
    const holding = slots.filter((slot) => state.credential(slot)?.keyId === keyId);
    assert.equal(holding.length, 1, `${step} ${keyId} after ${lines.length} steps`);
    for (const slot of slots) if (state.credential(slot) !== undefined) assert.ok(usable(state, slot));
  }
});

/** After a power cut the machine has booted anew, so the old lock's holder is gone. */
function openAfterBoot(disk: MemoryDisk): DeviceState {
  for (const name of disk.list('/device')) if (name.startsWith('lock.')) disk.unlink(`/device/${name}`);
  return DeviceState.open('/device', { secret, disk });
}

function usable(state: DeviceState, slot: 'idevid' | 'current' | 'previous' | 'pending'): boolean {
  return state.credential(slot) !== undefined && state.identity(slot).withKey((pkcs8) => pkcs8.length > 100);
}
