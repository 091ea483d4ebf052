import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import type { BundleContent } from '@keystead/core/trust';
import { codeOf } from '../../authority/tests/bed.ts';
import { factsOf } from '../facts.ts';
import { planOf } from '../plan.ts';
import { requireTakenBack } from '../readiness.ts';
import { RotationBed } from './bed.ts';

/** What happens between two looks of a campaign, and what another certificate, or another campaign, says of nothing. */
let bed: RotationBed;
before(async () => {
  bed = await RotationBed.make();
  await bed.devices('KS-0001', 'KS-0002');
});
after(() => bed.domain.remove());

const DAY = 86_400;
const advance = (id: string) => bed.campaigns.advance(id, bed.by());
const KEYS = { old: 'a'.repeat(64), next: 'b'.repeat(64), backup: 'c'.repeat(64) };

/** A double of a published bundle: what a campaign reads of it is the pins. */
function bundle(version: number, ...keys: readonly (readonly [keyof typeof KEYS, 'current' | 'next' | 'backup'])[]) {
  const pins = keys.map(([key, use]) => ({
    ...{ spkiSha256: KEYS[key] as SpkiSha256, use },
    ...{ from: 0, until: 9_999_999_999 },
  }));
  const content: BundleContent = {
    ...{ v: 1, fleet: 'test', version, issuedAt: 0, expires: 9_999_999_999, filterSha256: null },
    ...{ pins: [{ role: 'gateway', keys: pins }], anchors: [], signers: [], firmware: [] },
  };
  return { content, sha256: String(version).repeat(64) };
}

test('TEST-KEY-15 a certificate by another CA, for another purpose, is no sign that a device has left the old key', async () => {
  const plan = { v: 1, id: 'ca', kind: 'issuing-ca', target: 'operational', reason: 'a test' };
  await bed.campaigns.plan(plan, bed.by());
  const before = (await bed.campaigns.dryRun('ca')).counts;
  const { store, clock } = bed.domain;
  const ldevid = store.read((records) => {
    const [newest] = records.rotation.credentials('KS-0001');
    return newest === undefined ? undefined : records.certificate(newest.issuer, newest.serial);
  });
  assert.ok(ldevid);
  clock.advance(60);
  const other = { profile: 'tls-server', issuer: 'server' as const, serial: '7e'.repeat(20) as Serial };
  await store.commit((tx) => tx.insertCertificate({ ...ldevid, ...other, issuedAt: clock.now().getTime() }));
  assert.deepEqual((await bed.campaigns.dryRun('ca')).counts, before);
  assert.equal(before.moved, 0);
  await bed.campaigns.abort('ca', 'only a test', bed.by());
});

test('TEST-KEY-15 a device that has left the old key has moved, whatever it once had by it for a purpose that is no more', async () => {
  const { store, clock } = bed.domain;
  const { old, device } = store.read((records) => {
    const ldevid = records.rotation.credentials('KS-0002').find(({ profile }) => profile === 'ldevid');
    return {
      old: ldevid === undefined ? undefined : records.certificate(ldevid.issuer, ldevid.serial),
      device: records.device('KS-0002'),
    };
  });
  assert.ok(old && device);
  const given = (
    profile: string,
    issuer: 'operational' | 'server',
    digit: string,
    issuedAt: number,
    notAfter: number,
  ) =>
    store.commit((tx) =>
      tx.insertCertificate({ ...old, profile, issuer, issuedAt, notAfter, serial: digit.repeat(40) as Serial }),
    );
  const plan = planOf({ v: 1, id: 'left', kind: 'issuing-ca', target: 'operational', reason: 'a test' });
  const rules = { policy: bed.domain.policy, uptakeOf: () => undefined };
  const issuer = () => store.read((records) => factsOf(records, plan, device, rules).credential?.issuer);
  const now = clock.now().getTime();
  // The purpose that is no more, then what it has in the place of its LDevID, by another CA.
  await given('once', 'operational', '5', old.issuedAt - 2000, old.issuedAt - 1000);
  assert.equal(issuer(), 'operational');
  await given('ldevid', 'server', '6', now + 1000, now + DAY * 1000);
  assert.equal(issuer(), 'server');
  await given('still', 'operational', '7', now - 1000, now + DAY * 1000);
  assert.equal(issuer(), 'operational', 'one that it could use still is by the old key');
});

test('TEST-KEY-16 what must be so for the switch is looked at when it is taken: a bundle that comes while the fleet is read counts', async () => {
  const both = bundle(1, ['old', 'current'], ['next', 'next'], ['backup', 'backup']);
  const published = [both];
  const latest = () => published.at(-1);
  const version = (number: number) => published.find(({ content }) => content.version === number);
  bed.bundles = { latest, version };
  const reportedAt = bed.domain.clock.now().getTime();
  for (const id of ['KS-0001', 'KS-0002'])
    bed.uptake.set(id, { bundle: { version: 1, sha256: both.sha256 }, securityCounter: undefined, reportedAt });
  const plan = { v: 1, id: 'pins', kind: 'server-keys', target: 'gateway', ...KEYS, reason: 'a test' };
  await bed.campaigns.plan(plan, bed.by());
  await bed.campaigns.start('pins', bed.by());
  let looks = 0;
  bed.bundles = {
    latest,
    version(number) {
      looks += 1;
      // The look at the uptake comes first. At the one of the dry run somebody takes the next key out again.
      if (looks === 2) published.push(bundle(2, ['old', 'current'], ['backup', 'backup']));
      return version(number);
    },
  };
  assert.equal(await codeOf(advance('pins')), 'rotation.not-ready');
  assert.equal(bed.campaigns.show('pins').state, 'distributing');
  await bed.campaigns.rollBack('pins', 'only a test', bed.by());
});

test('a campaign that cannot be looked at does not leave the others unwatched', async () => {
  for (const id of ['KS-0001', 'KS-0002']) bed.uptake.delete(id);
  const [first] = [bundle(1, ['old', 'current'], ['next', 'next'], ['backup', 'backup'])];
  bed.bundles = { latest: () => first, version: () => first };
  const reportedAt = bed.domain.clock.now().getTime();
  for (const id of ['KS-0001', 'KS-0002'])
    bed.uptake.set(id, { bundle: { version: 1, sha256: first.sha256 }, securityCounter: undefined, reportedAt });
  const pins = { v: 1, id: 'broken', kind: 'server-keys', target: 'gateway', ...KEYS, reason: 'a test' };
  await bed.campaigns.plan(pins, bed.by());
  await bed.campaigns.start('broken', bed.by());
  const plan = { v: 1, id: 'watched', kind: 'device-credentials', target: 'ldevid', reason: 'a test' };
  bed.domain.clock.advance(1);
  await bed.campaigns.plan({ ...plan, spreadSeconds: 0, patienceSeconds: 60, transitionSeconds: 30 * DAY }, bed.by());
  await bed.campaigns.start('watched', bed.by());
  await advance('watched');
  bed.bundles = {
    latest: () => first,
    version() {
      throw new Error('the file is damaged');
    },
  };
  bed.domain.clock.advance(120);
  await assert.rejects(bed.campaigns.tick(), /the file is damaged/);
  assert.equal(bed.campaigns.show('watched').state, 'paused', 'its devices are late');
});

test('TEST-KEY-15 a root whose rollover was imported is not taken back by a word: keyd has the new key', () => {
  const { policy } = bed.domain;
  const roots = { old: KEYS.old, next: KEYS.next };
  const plan = planOf({ v: 1, id: 'root-2', kind: 'root', target: 'root', ...roots, reason: 'a test' });
  const until = bed.domain.clock.now();
  const imported = { role: 'root', ...roots, until, acrossUntil: until };
  const taken = (...rollovers: (typeof imported)[]) =>
    requireTakenBack(plan, { policy, issuers: () => [], rollovers: () => rollovers });
  taken({ ...imported, role: 'signing-root' });
  assert.throws(() => taken(imported), { code: 'rotation.not-ready' });
});
