import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { SecretBytes, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { BundleContent } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { newSigner, pin } from '../../core/trust/tests/bundle-source.ts';
import {
  CarriedTrust,
  DeviceState,
  DeviceTls,
  deviceRules,
  EstClient,
  HttpTrustSource,
  ProvenClock,
  provision,
  RenewalLoop,
  type RulesSource,
  reportUptake,
  TrustUpdater,
  uptakeOf,
  verifyPeer,
} from '../index.ts';
import { TestEstServer } from './est-server.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { type Cut, MemoryDisk, PowerCut } from './memory-disk.ts';
import { cn, serverCertificate, type TestCa, testKey, USAGE } from './test-ca.ts';
import { DAY, TrustHouse } from './trust-house.ts';

const secret = SecretBytes.random(32);
let fleet: Fleet;
let house: TrustHouse;
before(async () => {
  fleet = new Fleet(new Date('2027-01-15T12:00:00Z'));
  house = await TrustHouse.start(fleet);
});
after(() => house.stop());

const refusedWith = (code: string) => (error: unknown) => error instanceof KeysteadError && error.code === code;

interface Device {
  readonly disk: MemoryDisk;
  readonly state: DeviceState;
  readonly trust: TrustUpdater;
}

function newDevice(of = house): Device {
  const disk = new MemoryDisk();
  const opening = { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret, disk, trust: of.factoryTrust() };
  return onDisk(disk, DeviceState.create('/device', opening), of);
}

function onDisk(disk: MemoryDisk, state: DeviceState, of = house): Device {
  const trust = new TrustUpdater({ state, source: new HttpTrustSource(of.url), clock: fleet.clock });
  return { disk, state, trust };
}

/** The machine has booted anew: whoever held the lock is gone. */
function reboot(left: MemoryDisk, of = house): Device {
  for (const name of left.list('/device')) if (name.startsWith('lock')) left.unlink(`/device/${name}`);
  return onDisk(left, DeviceState.open('/device', { secret, disk: left }), of);
}

/** All that the device goes by, as text. */
const goesBy = ({ state, trust }: Device): string =>
  JSON.stringify([
    state.trust?.state.version,
    state.trust?.bundle,
    state.trust?.filters,
    trust.carried?.content.version,
  ]);

const issue = (ca: TestCa, name = 'localhost'): DerCertificate =>
  ca.issue({
    subject: cn(name),
    spki: testKey().spki,
    notBefore: fleet.start,
    notAfter: fleet.end,
    san: [[2, name]],
    extKeyUsage: [USAGE.serverAuth],
  });

test('TEST-KEY-10 a device takes the newest bundle with its filter, holds both over a restart, and asks by ETag', async () => {
  const good = issue(fleet.server);
  const revoked = issue(fleet.server);
  const [a, b] = [good, revoked].map((der) => readCertificate(der).serial) as [Serial, Serial];
  const { spki } = readCertificate(fleet.server.certificate);
  await house.publish({ filterSha256: house.filter(spki, [a, b], new Set(), 'whole') });
  await house.publish({ filterSha256: house.filter(spki, [a, b], new Set([b]), 'delta') });
  const device = newDevice();
  assert.deepEqual(await device.trust.update(), { type: 'taken', version: house.version, before: 0 });
  assert.equal(device.state.trust?.filters.length, 2, 'the delta, and the filter that it stands on');
  house.asked.length = 0;
  assert.deepEqual(await device.trust.update(), { type: 'unchanged', version: house.version });
  assert.deepEqual(house.asked, ['/trust/latest']);
  device.state.close();

  const again = reboot(device.disk);
  house.asked.length = 0;
  const judge = (der: DerCertificate) =>
    verifyPeer([der, fleet.server.certificate], {
      clock: fleet.clock,
      ...(again.trust.carried ?? assert.fail('no trust')).rules('server', fleet.clock.now()),
      extKeyUsage: 'serverAuth',
      expected: { host: 'localhost' },
    });
  assert.equal((await judge(good)).ok, true);
  const verdict = await judge(revoked);
  assert.deepEqual([verdict.ok, verdict.ok || verdict.rule], [false, 'revoked']);
  assert.deepEqual(house.asked, [], 'no network was asked');

  await house.publish({ filterSha256: house.filter(spki, [a, b], new Set([a, b]), 'delta') });
  house.asked.length = 0;
  await again.trust.update();
  assert.equal(house.asked.length, 2, 'the bundle and the new delta alone');
  assert.equal((await judge(good)).ok, false);
  await house.publish({ filterSha256: null });
  await again.trust.update();
  assert.deepEqual(
    again.disk.list('/device').filter((name) => name.startsWith('filter.')),
    [],
  );
});

test('TEST-KEY-10 a device that was away while the signers changed takes the bundles in which they did', async () => {
  const own = await TrustHouse.start(fleet);
  try {
    await own.publish();
    const device = newDevice(own);
    await device.trust.update();
    for (let round = 0; round < 3; round += 1) {
      fleet.clock.advance(40 * DAY);
      const { before } = own.rotateSigner();
      await own.publish({ by: before });
      fleet.clock.advance(40 * DAY);
      await own.publish();
    }
    own.asked.length = 0;
    assert.deepEqual(await device.trust.update(), { type: 'taken', version: 7, before: 1 });
    const bundles = own.asked.filter((path) => path.includes('bundles'));
    assert.deepEqual(bundles, ['/trust/bundles/2', '/trust/bundles/4', '/trust/bundles/6']);
  } finally {
    await own.stop();
  }
});

test('TEST-KEY-10 of bundles that a false list names a device fetches no more than up to the first that is none, or another than was asked for', async () => {
  const own = await TrustHouse.start(fleet);
  try {
    const first = await own.publish();
    const device = newDevice(own);
    await device.trust.update();
    const before = goesBy(device);
    own.files.set('/trust/latest', await own.bundle({ version: 2000, by: newSigner() }));
    const signerChanges = Array.from({ length: 1024 }, (_, index) => 2 + index);
    own.files.set('/trust/index.json', Buffer.from(JSON.stringify({ fleet: 'pumps', latest: 2000, signerChanges })));
    const bundle = (version: number) => `/trust/bundles/${version}`;
    const [second, noise] = [await own.bundle({ version: 2 }), new Uint8Array(130 * 1024)];
    for (const [code, at, files] of [
      ['trust-bundle.malformed', 2, [noise]],
      ['trust.unreachable', 2, [first]],
      ['trust-bundle.malformed', 3, [second, noise]],
      // A good one that comes again and again would go on for as long as the list is.
      ['trust.unreachable', 3, [second, second]],
    ] as const) {
      for (const version of signerChanges) own.files.set(bundle(version), files[version - 2] ?? noise);
      own.asked.length = 0;
      await assert.rejects(device.trust.update(), refusedWith(code), code);
      assert.equal(own.asked.at(-1), bundle(at), code);
      assert.equal(goesBy(device), before, code);
    }
  } finally {
    await own.stop();
  }
});

test('TEST-KEY-10 a device that was away while the time of a signer was made longer takes the bundle that says so', async () => {
  const own = await TrustHouse.start(fleet);
  try {
    const at = own.seconds();
    const other = newSigner();
    const signers = (until: number) => [
      { spki: own.signer.spki, from: at - DAY, until: at + until * DAY },
      { spki: other.spki, from: at - DAY, until: at + 900 * DAY },
    ];
    await own.publish({ signers: signers(5) });
    const device = newDevice(own);
    await device.trust.update();
    await own.publish({ by: other, signers: signers(1000) });
    fleet.clock.advance(6 * DAY);
    await own.publish({ signers: signers(1000) });
    const index = { fleet: 'pumps', latest: 3, signerChanges: [2] };
    own.files.set('/trust/index.json', Buffer.from(JSON.stringify(index)));
    assert.deepEqual(await device.trust.update(), { type: 'taken', version: 3, before: 1 });
  } finally {
    await own.stop();
  }
});

test('TEST-KEY-10 a bundle that is bad, or a server that is away, changes nothing, and each says what it is', async () => {
  const device = newDevice();
  const first = await house.publish();
  await house.publish();
  await device.trust.update();
  const before = goesBy(device);
  const at = house.seconds();
  const safe = { spkiSha256: pin('safe'), use: 'current' as const, from: at - DAY, until: at + 60 * DAY };
  const later: BundleContent['signers'] = [{ spki: house.signer.spki, from: at - 9 * DAY, until: at - DAY }];
  const retired = newSigner();
  const bad: readonly [code: string, bytes: Uint8Array][] = [
    ['trust-bundle.rolled-back', first],
    ['trust-bundle.not-yet-valid', await house.bundle({ issuedAt: at + DAY })],
    ['trust-bundle.expired', await house.bundle({ issuedAt: at - 9 * DAY, expires: at - DAY })],
    ['trust-bundle.fleet-differs', await house.bundle({ fleet: 'monitors' })],
    ['trust-bundle.signer-unknown', await house.bundle({ by: retired })],
    ['trust-bundle.forked', await house.bundle({ version: house.version, expires: at + 29 * DAY })],
    ['trust-bundle.rule', await house.bundle({ pins: [{ role: 'keys', keys: [safe] }] })],
    ['trust-bundle.rule', await house.bundle({ signers: later })],
    ['trust.unreachable', await house.bundle({ filterSha256: pin('a filter that is nowhere') })],
    ['trust-bundle.malformed', Buffer.from('<html>captive portal</html>')],
  ];
  for (const [code, bytes] of bad) {
    house.files.set('/trust/latest', bytes);
    await assert.rejects(device.trust.update(), refusedWith(code), code);
    assert.equal(goesBy(device), before, code);
  }
  const whole = await house.bundle();
  for (let length = 0; length < whole.length; length += 1) {
    await assert.rejects(
      device.trust.take(whole.subarray(0, length)),
      refusedWith('trust-bundle.malformed'),
      `${length}`,
    );
  }
  house.away = true;
  await assert.rejects(device.trust.update(), refusedWith('trust.unreachable'));
  house.away = false;
  assert.equal(goesBy(device), before);
  assert.equal(goesBy(reboot(device.disk.afterCut('nothing unsynced is left'))), before);
  house.files.set('/trust/latest', whole);
  assert.equal((await device.trust.update()).type, 'taken', 'and a good one goes on');
  await house.publish({ version: house.version + 2 });
});

test('TEST-KEY-10 a bundle of a signer whose time is over is refused, and so is a filter that is another than its name', async () => {
  const own = await TrustHouse.start(fleet);
  try {
    const at = own.seconds();
    const next = newSigner();
    const windows = [
      { spki: own.signer.spki, from: at - DAY, until: at + 5 * DAY },
      { spki: next.spki, from: at - DAY, until: at + 900 * DAY },
    ];
    await own.publish({ signers: windows });
    const device = newDevice(own);
    await device.trust.update();
    fleet.clock.advance(6 * DAY);
    await own.publish({ signers: windows });
    await assert.rejects(device.trust.update(), refusedWith('trust-bundle.signer-retired'));
    const { spki } = readCertificate(fleet.server.certificate);
    const name = own.filter(spki, [], new Set(), 'whole');
    own.files.set(`/trust/filters/${name}`, Buffer.from('another file'));
    await own.publish({ version: 3, by: next, signers: windows, filterSha256: name });
    const before = goesBy(device);
    await assert.rejects(device.trust.update(), refusedWith('trust.filter-differs'));
    assert.equal(goesBy(device), before);
  } finally {
    await own.stop();
  }
});

test('TEST-KEY-10 a filter for another CA vouches for nobody: each peer is refused by name, and let in with the next bundle that has the right one', async () => {
  const own = await TrustHouse.start(fleet);
  try {
    const shown = issue(fleet.server);
    const { serial } = readCertificate(shown);
    const filter = (ca: TestCa) => own.filter(readCertificate(ca.certificate).spki, [serial], new Set(), 'whole');
    await own.publish({ filterSha256: filter(fleet.operational) });
    const device = newDevice(own);
    await device.trust.update();
    const judge = async () => {
      const verdict = await verifyPeer([shown, fleet.server.certificate], {
        clock: fleet.clock,
        ...(device.trust.carried ?? assert.fail('no trust')).rules('server', fleet.clock.now()),
        extKeyUsage: 'serverAuth',
        expected: { host: 'localhost' },
      });
      return verdict.ok ? 'ok' : verdict.rule;
    };
    assert.equal(await judge(), 'status-unavailable');
    await own.publish({ filterSha256: filter(fleet.server) });
    await device.trust.update();
    assert.equal(await judge(), 'ok');
  } finally {
    await own.stop();
  }
});

test('TEST-KEY-10 a server that holds new bundles back is noticed by the end of the one that is held', async () => {
  const device = newDevice();
  await house.publish();
  await device.trust.update();
  const carried = device.trust.carried ?? assert.fail('no trust');
  const { certificate } = serverCertificate(fleet.server, fleet.start, fleet.end);
  const judge = () =>
    verifyPeer([certificate, fleet.server.certificate], {
      clock: fleet.clock,
      ...carried.rules('server', fleet.clock.now()),
      extKeyUsage: 'serverAuth',
      expected: { host: 'localhost' },
    });
  assert.equal((await judge()).ok, true);
  fleet.clock.advance(31 * DAY);
  assert.equal((await device.trust.update()).type, 'unchanged', 'the frozen server has nothing newer');
  const verdict = await judge();
  assert.deepEqual([verdict.ok, verdict.ok || verdict.rule], [false, 'trust-expired']);
  assert.match(verdict.ok ? '' : verdict.source, /trust-bundle/);
});

test('TEST-KEY-16 the server key is swapped in its window: current, next and backup pins let in, all others are refused', async () => {
  const device = newDevice();
  const at = house.seconds();
  const [now, next, safe, foreign] = [0, 1, 2, 3].map(() => serverCertificate(fleet.server, fleet.start, fleet.end));
  if (!now || !next || !safe || !foreign) throw new Error('four servers');
  const key = ({ certificate }: { certificate: DerCertificate }) => spkiSha256(readCertificate(certificate).spki);
  await house.publish({
    expires: at + 200 * DAY,
    pins: [
      {
        role: 'keys',
        keys: [
          { spkiSha256: key(now), use: 'current', from: at - DAY, until: at + 60 * DAY },
          { spkiSha256: key(next), use: 'next', from: at + 50 * DAY, until: at + 120 * DAY },
          { spkiSha256: key(safe), use: 'backup', from: at - DAY, until: at + 365 * DAY },
        ],
      },
    ],
  });
  await device.trust.update();
  const carried = device.trust.carried ?? assert.fail('no trust');
  const ruleOf = async ({ certificate }: { certificate: DerCertificate }): Promise<string> => {
    const verdict = await verifyPeer([certificate, fleet.server.certificate], {
      clock: fleet.clock,
      ...carried.rules('server', fleet.clock.now(), 'keys'),
      extKeyUsage: 'serverAuth',
      expected: { host: 'localhost' },
    });
    return verdict.ok ? 'ok' : verdict.rule;
  };
  const all = async () => Promise.all([now, next, safe, foreign].map(ruleOf));
  assert.deepEqual(await all(), ['ok', 'pin', 'ok', 'pin']);
  fleet.clock.advance(55 * DAY);
  assert.deepEqual(await all(), ['ok', 'ok', 'ok', 'pin']);
  fleet.clock.advance(20 * DAY);
  assert.deepEqual(await all(), ['pin', 'ok', 'ok', 'pin']);
  assert.equal(carried.rules('server', fleet.clock.now(), 'brokers').pin?.isGood(key(foreign)), true, 'no pins there');
  assert.deepEqual(carried.anchors('firmware', fleet.clock.now()), []);
});

test('TEST-KEY-10 the power is cut at every write of taking a bundle: the old one with its filter or the new one with its own', async () => {
  const own = await TrustHouse.start(fleet);
  const { spki } = readCertificate(fleet.server.certificate);
  try {
    await own.publish({ filterSha256: own.filter(spki, [], new Set(), 'whole') });
    const [first] = [own.files.get('/trust/latest')];
    const second = await own.publish({ filterSha256: own.filter(spki, [], new Set(), 'whole') });
    const life = async (disk: MemoryDisk, acknowledge: (version: number) => void): Promise<void> => {
      const opening = { deviceId: 'pump-1', anchors: [fleet.root.certificate], secret, disk };
      const state = DeviceState.create('/device', { ...opening, trust: own.factoryTrust() });
      const { trust } = onDisk(disk, state, own);
      acknowledge(0);
      for (const bundle of [first, second]) {
        if (bundle === undefined) throw new Error('no bundle');
        await trust.take(bundle);
        acknowledge(trust.carried?.content.version ?? -1);
      }
      state.close();
    };
    const whole = new MemoryDisk();
    await life(whole, () => undefined);
    assert.ok(whole.operations > 30, `${whole.operations} steps`);
    const seen = new Set<number>();
    for (let cutAt = 0; cutAt < whole.operations; cutAt += 1) {
      const disk = new MemoryDisk();
      disk.cutAt = cutAt;
      let acknowledged = -1;
      await life(disk, (version) => {
        acknowledged = version;
      }).catch((error: unknown) => assert.ok(error instanceof PowerCut, String(error)));
      if (acknowledged < 0) continue;
      const cuts: Cut[] = [
        'nothing unsynced is left',
        'everything written is left',
        'names are left, contents are torn',
      ];
      for (const cut of cuts) {
        const what = `cut at ${cutAt}, ${cut}, after ${acknowledged}`;
        const { state, trust, disk: left } = reboot(disk.afterCut(cut), own);
        const version = state.trust?.state.version ?? -1;
        seen.add(version);
        assert.ok(version >= acknowledged, what);
        assert.equal(trust.carried?.content.version ?? 0, version, what);
        assert.equal(CarriedTrust.open(state)?.filter !== undefined, version > 0, what);
        const files = left.list('/device').filter((name) => /^(bundle|filter)\./.test(name));
        assert.equal(files.length, version === 0 ? 0 : 2, `${what}: files without a place`);
        await trust.update();
        assert.equal(trust.carried?.content.version, 2, what);
        state.close();
      }
    }
    assert.deepEqual([...seen].sort(), [0, 1, 2]);
  } finally {
    await own.stop();
  }
});

test('a bundle or filter that rots on the disk is not gone by, and is fetched again', async () => {
  const device = newDevice();
  const { spki } = readCertificate(fleet.server.certificate);
  await house.publish({ filterSha256: house.filter(spki, [], new Set(), 'whole') });
  await device.trust.update();
  device.state.close();
  for (const kind of ['bundle.', 'filter.']) {
    const disk = device.disk.afterCut('everything written is left');
    const name = disk.list('/device').find((one) => one.startsWith(kind)) ?? assert.fail(kind);
    const file = disk.openOver(`/device/${name}`);
    disk.write(file, Buffer.from('rot'));
    disk.close(file);
    const again = reboot(disk);
    assert.throws(() => CarriedTrust.open(again.state), refusedWith('state.damaged'));
    assert.deepEqual(await again.trust.update(), { type: 'taken', version: house.version, before: house.version });
    assert.equal(again.trust.carried?.content.version, house.version);
    again.state.close();
  }
});

test('a clock that is behind what is proven is not believed, and one that was ahead leaves nothing behind', async () => {
  const device = newDevice();
  await house.publish();
  await device.trust.update();
  const proven = device.state.trust?.provenTime ?? 0;
  assert.equal(proven, house.seconds());
  const battery = new SimulatedClock(new Date(0));
  const clock = new ProvenClock(battery, () => device.state.trust?.provenTime ?? 0);
  assert.equal(clock.now().getTime(), proven * 1000);
  assert.equal(clock.health().state, 'behind');
  battery.set(new Date((proven + 9) * 1000));
  assert.deepEqual([clock.now(), clock.health().state], [battery.now(), 'plausible']);
  const ahead = new SimulatedClock(new Date((proven + 5000 * DAY) * 1000));
  const trust = new TrustUpdater({ state: device.state, source: new HttpTrustSource(house.url), clock: ahead });
  await house.publish();
  await assert.rejects(trust.update(), refusedWith('trust-bundle.signer-retired'));
  assert.equal(device.state.trust?.provenTime, proven);
  await device.trust.update();
  assert.equal(device.trust.carried?.content.version, house.version);
});

test('TEST-KEY-14 a device that was off for three years takes the bundles of its signers, then recovers by its IDevID within the grace', async () => {
  const own = await TrustHouse.start(fleet);
  const est = await TestEstServer.start(fleet);
  try {
    await own.publish();
    const { state, trust } = newDevice(own);
    await provision(state, fleet.clock, async (csr) => {
      const [certificate, ...chain] = deviceCertificate(fleet, 'idevid', csr);
      return { certificate: certificate ?? assert.fail('no certificate'), chain };
    });
    await trust.update();
    const rules: RulesSource = { state, clock: fleet.clock, carried: () => trust.carried };
    const events: string[] = [];
    est.graceSeconds = 2000 * DAY;
    const loop = new RenewalLoop({
      state,
      est: new EstClient({
        url: est.url,
        clock: fleet.clock,
        anchors: () => state.anchors,
        byBundle: () => deviceRules(rules, 'server'),
      }),
      clock: fleet.clock,
      graceSeconds: 2000 * DAY,
      prove: () => reportUptake(new DeviceTls(rules), est.url, uptakeOf(state, null), { slot: 'pending' }),
      onEvent: ({ type, ...event }) =>
        events.push('error' in event && event.error instanceof KeysteadError ? `${type} ${event.error.field}` : type),
    });
    await loop.step();
    for (let year = 0; year < 3; year += 1) {
      fleet.clock.advance(365 * DAY);
      const { before } = own.rotateSigner();
      await own.publish({ by: before });
    }
    await loop.step();
    assert.deepEqual(events, ['enrolled', 'failed trust-expired'], 'nobody is believed by the old bundle');
    assert.deepEqual(await trust.update(), { type: 'taken', version: 4, before: 1 });
    await loop.step();
    assert.deepEqual(events.slice(2), ['recovered']);
    assert.deepEqual((est.uptake.get('pump-1') as { bundle: { version: number } }).bundle.version, 4);
  } finally {
    await est.stop();
    await own.stop();
  }
});
