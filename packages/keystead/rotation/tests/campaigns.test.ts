import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { SpkiSha256 } from '@keystead/core/bytes';
import { devicesSha256Of, type RotationOrder } from '@keystead/core/lifecycle';
import type { BundleContent } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { codeOf, type TestDevice } from '../../authority/tests/bed.ts';
import { LaterCeremonies } from '../../keyd/tests/later-bed.ts';
import type { PlanDraft } from '../index.ts';
import { suggestedWindow } from '../index.ts';
import { knowing } from '../known-by-bundle.ts';
import { planOf } from '../plan.ts';
import { RotationBed } from './bed.ts';

let bed: RotationBed;
let first: TestDevice;
let second: TestDevice;
/** It has no LDevID until a test gives it one. */
let third: TestDevice;
before(async () => {
  bed = await RotationBed.make();
  third = await bed.domain.device('KS-0003');
  [first, second] = (await bed.devices('KS-0001', 'KS-0002')) as [TestDevice, TestDevice];
});
after(() => bed.domain.remove());

const DAY = 86_400;
const plan = (id: string, more: Partial<PlanDraft> = {}): PlanDraft => ({
  ...{ v: 1, id, kind: 'device-credentials', target: 'ldevid', reason: 'a test' },
  rings: [{ name: 'canary', devices: ['KS-0001'] }],
  ...{ spreadSeconds: 60, patienceSeconds: 60, uptakeShare: 1, transitionSeconds: DAY },
  ...more,
});
const advance = (id: string) => bed.campaigns.advance(id, bed.by());
/** What the newest certificate of a device is asked to do. */
const asked = ({ id }: TestDevice) =>
  bed.domain.store.read((records) => {
    const [newest] = records.rotation.credentials(id);
    return newest === undefined ? undefined : suggestedWindow(records, id, newest);
  });

test('TEST-KEY-15 device credentials rotate ring by ring: the next ring waits for the one before, and each device is counted by its certificate', async () => {
  bed.domain.clock.advance(1);
  await bed.campaigns.plan(plan('credentials'), bed.by());
  await bed.campaigns.plan(plan('credentials'), bed.by());
  assert.deepEqual((await bed.campaigns.dryRun('credentials')).counts, {
    ...{ moved: 0, unaffected: 1, expected: 2, 'cut-off': 0 },
  });
  assert.equal(asked(first), undefined);
  await bed.campaigns.start('credentials', bed.by());
  bed.domain.clock.advance(1);
  const switched = await advance('credentials');
  assert.deepEqual(
    [switched.state, switched.rings.map(({ name, open }) => [name, open])],
    [
      'switched',
      [
        ['canary', true],
        ['rest', false],
      ],
    ],
  );
  assert.equal(asked(first)?.campaign, 'credentials');
  assert.equal(asked(second), undefined, 'its ring is closed');
  assert.equal(await codeOf(advance('credentials')), 'rotation.not-ready');
  await bed.domain.enrol(first);
  assert.equal(asked(first), undefined, 'what came since is as it should be');
  const next = await advance('credentials');
  assert.deepEqual(
    next.rings.map(({ done, open, verdict }) => [done, open, verdict]),
    [
      [1, true, 'moved'],
      [0, true, 'waits'],
    ],
  );
  assert.equal(await codeOf(bed.campaigns.retire('credentials', bed.by())), 'rotation.step');
  await bed.domain.enrol(second);
  assert.equal((await advance('credentials')).state, 'retiring');
  assert.equal(await codeOf(bed.campaigns.retire('credentials', bed.by())), 'rotation.too-early');
  bed.domain.clock.advance(DAY);
  assert.equal((await bed.campaigns.retire('credentials', bed.by())).state, 'retired');
  assert.deepEqual(bed.told(), ['planned', 'started', 'switched', 'ring-opened', 'ring-opened', 'settled', 'retired']);
});

test('TEST-KEY-15 more failures than the plan allows pause a campaign by itself; people let it go on, and its windows have not run meanwhile', async () => {
  await bed.domain.enrol(first);
  await bed.domain.enrol(second);
  bed.domain.clock.advance(1);
  await bed.campaigns.plan(plan('failing'), bed.by());
  await bed.campaigns.start('failing', bed.by());
  await advance('failing');
  const before = bed.campaigns.show('failing').rings[0]?.windowEnd ?? '';
  await bed.campaigns.pause('failing', 'a look', bed.by());
  assert.equal(asked(first), undefined, 'nobody is asked to move while it is paused');
  bed.domain.clock.advance(600);
  await bed.campaigns.resume('failing', 'all is well', bed.by());
  const windowEnd = bed.campaigns.show('failing').rings[0]?.windowEnd ?? '';
  assert.equal(Date.parse(windowEnd) - Date.parse(before), 600_000);
  bed.domain.clock.advance(121);
  await bed.campaigns.tick();
  const paused = bed.campaigns.show('failing');
  assert.deepEqual([paused.state, paused.was, paused.rings[0]?.failed], ['paused', 'switched', 1]);
  assert.match(paused.pauseReason ?? '', /ring canary: 1 of 1 devices failed, where 0 may/);
  assert.equal(await codeOf(advance('failing')), 'rotation.step');
  await bed.restart();
  assert.equal(bed.campaigns.show('failing').state, 'paused', 'a crash changes nothing');
  await bed.campaigns.resume('failing', 'the device is at the bench', bed.by());
  await bed.campaigns.tick();
  assert.equal(bed.campaigns.show('failing').state, 'switched', 'people have seen this failure');
  await bed.campaigns.reportFailure('failing', 'KS-0002', 'it restarts', bed.by());
  assert.equal(bed.campaigns.show('failing').state, 'switched', 'its ring is closed');
  await bed.campaigns.reportFailure('failing', 'KS-0001', 'it restarts again', bed.by());
  assert.equal(bed.campaigns.show('failing').state, 'paused');
  assert.equal((await bed.campaigns.rollBack('failing', 'bad firmware', bed.by())).state, 'rolled-back');
  assert.equal(await codeOf(bed.campaigns.resume('failing', 'once more', bed.by())), 'rotation.step');
});

test('TEST-KEY-16 a rotation that would strand a device is refused, until a quorum insists on these very devices and no others', async () => {
  await bed.domain.enrol(first);
  await bed.domain.enrol(second);
  bed.domain.clock.advance(1);
  await bed.campaigns.plan(plan('hasty', { transitionSeconds: 1 }), bed.by());
  assert.equal(await codeOf(bed.campaigns.start('hasty', bed.by())), 'rotation.strands-devices');
  assert.equal(bed.campaigns.show('hasty').state, 'planned');
  const run = await bed.campaigns.dryRun('hasty');
  assert.deepEqual(
    run.cutOff.map(({ deviceId, ring, why, insisted }) => [deviceId, ring, why, insisted]),
    [
      ['KS-0001', 'canary', ['renews-too-late'], false],
      ['KS-0002', 'rest', ['renews-too-late'], false],
    ],
  );
  const ask = await bed.statement(run, 'ada');
  const agree = await bed.statement(run, 'pol');
  const insist = (...statements: string[]) => bed.campaigns.insist('hasty', statements, bed.by());
  assert.equal(await codeOf(insist(ask)), 'rotation-order.too-few');
  assert.equal(await codeOf(insist(ask, await bed.statement(run, 'ada'))), 'rotation-order.malformed');
  assert.equal(
    await codeOf(insist(ask, await bed.statement(run, 'pol', { devices: 1 }))),
    'rotation-order.other-order',
  );
  const wrong = { ...run, devicesSha256: '0'.repeat(64) };
  assert.equal(
    await codeOf(insist(await bed.statement(wrong, 'ada'), await bed.statement(wrong, 'pol'))),
    'rotation-order.other-order',
  );
  assert.deepEqual((await insist(ask, agree)).insistedBy, ['ada', 'pol']);
  await bed.domain.enrol(third);
  assert.equal(await codeOf(bed.campaigns.start('hasty', bed.by())), 'rotation.strands-devices', 'one more');
  await bed.domain.provisioning.decommission({
    ...{ deviceId: third.id, reason: 'end of life', operator: 'ada', wiped: [], requestId: 'end' },
  });
  assert.equal((await bed.campaigns.start('hasty', bed.by())).state, 'distributing');
  await bed.campaigns.rollBack('hasty', 'only a test', bed.by());
});

test('TEST-KEY-16 a quorum gives up devices that it names, and the campaign waits for the others; a name that is not cut off, twice, or of another hash is refused', async () => {
  await bed.domain.enrol(first);
  await bed.domain.enrol(second);
  bed.domain.clock.advance(1);
  await bed.campaigns.plan(plan('named', { transitionSeconds: 1 }), bed.by());
  const run = await bed.campaigns.dryRun('named');
  const naming = (...only: string[]) => ({ only, devices: only.length, devicesSha256: devicesSha256Of(only) });
  const insist = async (more: Partial<RotationOrder>) => {
    const signed = [await bed.statement(run, 'ada', more), await bed.statement(run, 'pol', more)];
    return bed.campaigns.insist('named', signed, bed.by());
  };
  for (const wrong of [
    naming('KS-0002', 'KS-0001'),
    naming('KS-0001', 'KS-0001'),
    { ...naming('KS-0001'), devices: 2 },
    { ...naming('KS-0001'), devicesSha256: run.devicesSha256 },
    naming(),
  ])
    assert.equal(await codeOf(insist(wrong)), 'rotation-order.malformed', JSON.stringify(wrong));
  assert.equal(await codeOf(insist(naming('KS-0001', 'KS-0009'))), 'rotation-order.other-order');
  assert.deepEqual(bed.campaigns.show('named').insistedBy, []);
  const audited = bed.domain.entries().length;
  assert.deepEqual((await insist(naming('KS-0001'))).insistedBy, ['ada', 'pol']);
  const [entry] = bed.domain.entries().slice(audited);
  assert.deepEqual([entry?.type, entry?.detail?.named, entry?.detail?.devices], ['rotation.insisted', 'KS-0001', 1]);
  assert.deepEqual(
    (await bed.campaigns.dryRun('named')).cutOff.map(({ deviceId, insisted }) => [deviceId, insisted]),
    [
      ['KS-0001', true],
      ['KS-0002', false],
    ],
  );
  await assert.rejects(bed.campaigns.start('named', bed.by()), /1 devices, such as KS-0002 \(renews-too-late\)/);
  await insist(naming('KS-0002'));
  assert.deepEqual(bed.campaigns.show('named').insistedBy, ['ada', 'pol']);
  assert.equal((await bed.campaigns.start('named', bed.by())).state, 'distributing');
  await bed.campaigns.rollBack('named', 'only a test', bed.by());
});

test('a campaign overlaps with no other, changes no word of its plan, and is refused by name where there is none', async () => {
  await bed.campaigns.plan(plan('one'), bed.by());
  assert.equal(await codeOf(bed.campaigns.plan(plan('two'), bed.by())), 'rotation.overlaps');
  assert.equal(await codeOf(bed.campaigns.plan(plan('one', { mostFailures: 3 }), bed.by())), 'rotation.plan-differs');
  assert.equal(await codeOf(bed.campaigns.plan(plan('no', { target: 'nothing' }), bed.by())), 'rotation.target');
  assert.equal(await codeOf(bed.campaigns.start('nobody', bed.by())), 'rotation.unknown');
  assert.equal(await codeOf(bed.campaigns.reportFailure('one', 'KS-0009', 'x', bed.by())), 'rotation.unplanned-device');
  await bed.campaigns.abort('one', 'only a test', bed.by());
  assert.equal(await codeOf(bed.campaigns.start('one', bed.by())), 'rotation.step');
});

test('TEST-KEY-16 a CA that certified IDevIDs cuts their devices off, however many LDevIDs each has had since', async () => {
  for (let count = 0; count < 17; count += 1) {
    bed.domain.clock.advance(1);
    await bed.domain.enrol(first);
  }
  await bed.campaigns.plan(plan('factory', { kind: 'issuing-ca', target: 'manufacturing' }), bed.by());
  const { cutOff } = await bed.campaigns.dryRun('factory');
  assert.deepEqual(
    cutOff.map(({ deviceId, why }) => [deviceId, why]),
    [first, second].map(({ id }) => [id, ['idevid-by-the-old']]),
  );
  await bed.campaigns.abort('factory', 'only a test', bed.by());
});

test('patience does not run while a campaign is paused, ticks that come together are one, and what has ended takes nothing more', async () => {
  await bed.domain.enrol(first);
  await bed.domain.enrol(second);
  bed.domain.clock.advance(1);
  await bed.campaigns.plan(plan('patient', { spreadSeconds: 5, patienceSeconds: 20 }), bed.by());
  await bed.campaigns.start('patient', bed.by());
  await advance('patient');
  // The window is over, and the patience is not.
  bed.domain.clock.advance(10);
  await bed.campaigns.pause('patient', 'a look', bed.by());
  bed.domain.clock.advance(30);
  await bed.campaigns.resume('patient', 'all is well', bed.by());
  const tick = bed.campaigns.tick();
  assert.equal(bed.campaigns.tick(), tick);
  await tick;
  assert.equal(bed.campaigns.show('patient').state, 'switched', 'fifteen seconds are left');
  bed.domain.clock.advance(20);
  // The tick waits for its turn, and finds the campaign as it is then.
  const ended = bed.campaigns.rollBack('patient', 'only a test', bed.by());
  await bed.campaigns.tick();
  await ended;
  assert.equal(bed.campaigns.show('patient').rings[0]?.failed, 0);
  const run = await bed.campaigns.dryRun('patient');
  const signed = [await bed.statement(run, 'ada'), await bed.statement(run, 'pol')];
  assert.equal(await codeOf(bed.campaigns.insist('patient', signed, bed.by())), 'rotation.step');
  assert.equal(await codeOf(bed.campaigns.reportFailure('patient', first.id, 'x', bed.by())), 'rotation.step');
});

/** A double of a published bundle: what a campaign reads of it is the pins. */
const bundle = (version: number, pins: readonly (readonly [key: string, use: 'current' | 'next' | 'backup'])[]) => {
  const keys = pins.map(([key, use]) => ({
    spkiSha256: key.repeat(64) as SpkiSha256,
    use,
    from: 0,
    until: 9_999_999_999,
  }));
  const content: BundleContent = {
    ...{ v: 1, fleet: 'test', version, issuedAt: 0, expires: 9_999_999_999, filterSha256: null },
    ...{ pins: [{ role: 'gateway', keys }], anchors: [], signers: [], firmware: [] },
  };
  return { content, sha256: String(version).repeat(64) };
};

test('TEST-KEY-16 a bundle that has the new root in one role of the old one, and not in the other, does not know it', async () => {
  const { certificates, issuers } = await bed.domain.keyd.client.trust();
  // Any other certificate serves as that of the new root.
  const [oldRoot, newRoot] = [certificates.root, issuers[0]?.certificate];
  assert.ok(newRoot);
  const roots = { old: readCertificate(oldRoot).spkiSha256, next: readCertificate(newRoot).spkiSha256 };
  const rotation = planOf(plan('root', { kind: 'root', target: 'root', ...roots }));
  const knows = (...roles: ('server' | 'device' | 'firmware')[]) => {
    const { content, sha256 } = bundle(1, []);
    const anchor = (role: (typeof roles)[number], certificate: typeof oldRoot) => ({
      ...{ role, certificate, from: 0, until: 9_999_999_999 },
    });
    const anchors = [
      anchor('server', oldRoot),
      anchor('device', oldRoot),
      ...roles.map((role) => anchor(role, newRoot)),
    ];
    const published = { content: { ...content, anchors }, sha256 };
    const bundles = { latest: () => published, version: () => published };
    return knowing(rotation, bundles, bed.domain.clock.now().getTime())({ version: 1, sha256 });
  };
  assert.equal(knows('server', 'device'), true);
  assert.equal(knows('device'), false);
  assert.equal(knows('server', 'firmware'), false);
  assert.equal(knows(), false);
});

test('TEST-KEY-16 server keys switch only under a bundle with old, new and backup pin that every device has, and retire only when the newest bundle has dropped the old one; a stolen key gives way to the one in the safe without a wait', async () => {
  const published = [
    bundle(1, [
      ['a', 'current'],
      ['c', 'backup'],
    ]),
  ];
  bed.bundles = {
    latest: () => published.at(-1),
    version: (version) => published.find(({ content }) => content.version === version),
  };
  const reports = (device: TestDevice, version: number) =>
    bed.uptake.set(device.id, {
      ...{ bundle: { version, sha256: String(version).repeat(64) }, securityCounter: undefined },
      reportedAt: bed.domain.clock.now().getTime(),
    });
  const keys = { old: 'a'.repeat(64), next: 'b'.repeat(64), backup: 'c'.repeat(64) };
  await bed.campaigns.plan(plan('pins', { kind: 'server-keys', target: 'gateway', ...keys, rings: [] }), bed.by());
  assert.equal(await codeOf(bed.campaigns.start('pins', bed.by())), 'rotation.strands-devices', 'nobody has reported');
  for (const device of [first, second]) reports(device, 1);
  await bed.campaigns.start('pins', bed.by());
  assert.equal(await codeOf(advance('pins')), 'rotation.not-ready', 'the bundle has no new pin');
  published.push(
    bundle(2, [
      ['a', 'current'],
      ['b', 'next'],
    ]),
  );
  assert.equal(await codeOf(advance('pins')), 'rotation.backup-pin');
  published.push(
    bundle(3, [
      ['a', 'current'],
      ['b', 'next'],
      ['c', 'backup'],
    ]),
  );
  assert.equal(await codeOf(advance('pins')), 'rotation.strands-devices', 'the devices have the bundle of before');
  reports(first, 3);
  assert.equal(await codeOf(advance('pins')), 'rotation.strands-devices', 'one has it not yet');
  reports(second, 3);
  assert.equal((await advance('pins')).state, 'switched');
  assert.equal((await advance('pins')).state, 'retiring');
  bed.domain.clock.advance(DAY);
  assert.equal(await codeOf(bed.campaigns.retire('pins', bed.by())), 'rotation.not-ready', 'the old pin is believed');
  published.push(
    bundle(4, [
      ['b', 'current'],
      ['c', 'backup'],
    ]),
  );
  await assert.rejects(
    bed.campaigns.retire('pins', bed.by()),
    /2 devices, such as KS-0001, go by a trust bundle that believes it; the last until 2286/,
  );
  reports(first, 4);
  assert.deepEqual((await bed.campaigns.dryRun('pins')).oldTrusted, {
    ...{ devices: 1, such: ['KS-0002'], until: '2286-11-20T17:46:39.000Z' },
  });
  reports(second, 4);
  published.push(bundle(5, [['b', 'current']]));
  assert.equal(await codeOf(bed.campaigns.retire('pins', bed.by())), 'rotation.backup-pin');
  published.pop();
  assert.equal((await bed.campaigns.retire('pins', bed.by())).state, 'retired');

  // The key is stolen: every device knows the one in the safe, and nobody is waited for.
  const stolen = { old: keys.next, next: keys.backup, backup: 'd'.repeat(64) };
  await bed.campaigns.plan(plan('safe', { kind: 'server-keys', target: 'gateway', ...stolen, rings: [] }), bed.by());
  await bed.campaigns.start('safe', bed.by());
  assert.equal(await codeOf(advance('safe')), 'rotation.backup-pin', 'the safe has no other key yet');
  published.push(
    bundle(6, [
      ['b', 'current'],
      ['c', 'next'],
      ['d', 'backup'],
    ]),
  );
  assert.equal((await advance('safe')).state, 'switched');
  await bed.campaigns.pause('safe', 'a look', bed.by());
  published.push(
    bundle(7, [
      ['c', 'current'],
      ['d', 'backup'],
    ]),
  );
  assert.equal(await codeOf(bed.campaigns.rollBack('safe', 'too late', bed.by())), 'rotation.not-ready');
  published.pop();
  assert.equal((await bed.campaigns.rollBack('safe', 'only a test', bed.by())).state, 'rolled-back');
});

test('TEST-KEY-15 firmware keys: the new key must be usable before the switch and sign before the end, the old one out of the policy; nothing goes back to a key that the bundle has dropped; a killed one is not waited for', async () => {
  const of = (version: number, ...signers: string[]) => {
    const { content, sha256 } = bundle(version, []);
    const firmware = [
      {
        ...{ product: 'ks-pump-1', minimumSecurityCounter: 0 },
        signers: signers.map((one) => one.repeat(64) as SpkiSha256),
      },
    ];
    return { content: { ...content, firmware }, sha256 };
  };
  const published = [of(1, 'a', 'b')];
  bed.bundles = {
    latest: () => published.at(-1),
    version: (version) => published.find(({ content }) => content.version === version),
  };
  const report = (version: number) => {
    for (const { id } of [first, second])
      bed.uptake.set(id, {
        ...{ bundle: { version, sha256: String(version).repeat(64) }, securityCounter: 3 },
        reportedAt: bed.domain.clock.now().getTime(),
      });
  };
  type Held = (typeof bed.firmwareKeys)[number];
  const held = (id: string, more: Partial<Held>): Held => ({
    ...{ id, spkiSha256: (id === 'old' ? 'a' : 'b').repeat(64), state: 'active', use: 'signs' },
    ...{ certifiedUntil: '2040-01-01T00:00:00Z', ...more },
  });
  report(1);
  const keys = { old: 'a'.repeat(64), next: 'b'.repeat(64) };
  const wanted = (id: string) => plan(id, { kind: 'firmware-keys', target: 'ks-pump-1', ...keys, rings: [] });
  await bed.campaigns.plan(wanted('fw'), bed.by());
  await bed.campaigns.start('fw', bed.by());
  for (const [more, says] of [
    [{ certifiedUntil: null }, /new has no certificate/],
    [{ state: 'suspended' }, /new is suspended/],
    [{ use: 'retired' }, /new is in no line of the policy/],
  ] as const) {
    bed.firmwareKeys = [held('old', {}), held('new', { use: 'trusted', ...more })];
    await assert.rejects(advance('fw'), says);
  }
  bed.firmwareKeys = [held('old', {}), held('new', { use: 'trusted' })];
  assert.equal((await advance('fw')).state, 'switched');
  published.push(of(2, 'b'));
  assert.equal(await codeOf(bed.campaigns.rollBack('fw', 'second thoughts', bed.by())), 'rotation.not-ready');
  assert.equal(bed.campaigns.show('fw').state, 'switched');
  assert.equal((await advance('fw')).state, 'retiring');
  bed.domain.clock.advance(DAY);
  const retire = () => bed.campaigns.retire('fw', bed.by());
  await assert.rejects(retire(), /new signs nothing by the policy/);
  bed.firmwareKeys = [held('old', { use: 'trusted' }), held('new', {})];
  await assert.rejects(retire(), /old is trusted still, by the policy/);
  bed.firmwareKeys = [held('old', { use: 'retired' }), held('new', {})];
  await assert.rejects(retire(), /2 devices, .* go by a trust bundle/);
  report(2);
  published.push(of(3, 'c'));
  assert.equal(await codeOf(retire()), 'rotation.not-ready', 'the newest bundle has lost the new key as well');
  published.pop();
  assert.equal((await retire()).state, 'retired');

  await bed.campaigns.plan(wanted('stolen'), bed.by());
  await bed.campaigns.start('stolen', bed.by());
  assert.equal(await codeOf(advance('stolen')), 'rotation.not-ready', 'the bundle dropped the old key');
  bed.firmwareKeys = [held('old', { state: 'compromised' }), held('new', {})];
  assert.equal((await advance('stolen')).state, 'switched');
  await advance('stolen');
  bed.domain.clock.advance(DAY);
  await assert.rejects(bed.campaigns.retire('stolen', bed.by()), /old signs still, by the policy/);
  bed.firmwareKeys = [held('new', {})];
  assert.equal((await bed.campaigns.retire('stolen', bed.by())).state, 'retired');
});

test('TEST-KEY-15 an issuing CA rotates through a real ceremony: it waits for the successor, goes ring by ring, is not taken back after, and is retired when the last certificate of the old key has ended', async () => {
  await bed.domain.enrol(first);
  await bed.domain.enrol(second);
  const ca = plan('ca', { kind: 'issuing-ca', target: 'operational' });
  await bed.campaigns.plan(ca, bed.by());
  await bed.campaigns.start('ca', bed.by());
  assert.equal(await codeOf(advance('ca')), 'rotation.not-ready', 'there is no successor');
  const ceremonies = new LaterCeremonies(bed.domain.keyd);
  await bed.domain.keyd.stop();
  await ceremonies.intermediate('second', { ca: 'operational', key: 'successor' });
  await ceremonies.take();
  await bed.restart();
  assert.equal(await codeOf(bed.campaigns.rollBack('ca', 'second thoughts', bed.by())), 'rotation.not-ready');
  assert.equal(bed.campaigns.show('ca').state, 'distributing', 'the old key issues no more');
  // The ceremony was held a day later, and what the devices had has ended: they come with their IDevIDs.
  assert.equal((await advance('ca')).state, 'switched');
  for (const device of [first, second]) await bed.domain.enrol(device);
  const issuers = bed.domain.store.read((records) =>
    records.rotation.credentials('KS-0001').map(({ issuer }) => issuer),
  );
  assert.equal(issuers[0], 'operational.2');
  assert.equal(await codeOf(bed.campaigns.rollBack('ca', 'second thoughts', bed.by())), 'rotation.step');
  await advance('ca');
  assert.equal((await advance('ca')).state, 'retiring');
  assert.equal((await bed.campaigns.retire('ca', bed.by())).state, 'retired');
});
