import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type DerCertificate, toBase64 } from '@keystead/core/bytes';
import { transitionEnd } from '@keystead/core/lifecycle';
import { parseBundle } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { LaterCeremonies } from './later-bed.ts';
import { TrustBed } from './trust-bed.ts';

/** A root that was rolled over, in the bundles that nobody orders. */
const DAY = 86_400;
const TRANSITION = 90 * DAY;
let bed: TrustBed;
let roots: { old: DerCertificate; next: DerCertificate; newWithOld: DerCertificate };
/** When the old one ends, and until when people said that it stands; seconds since 1970. */
let end: number;
let until: number;

const client = () => bed.keyd.client;
const pass = (seconds: number) => bed.keyd.clock.set(new Date((bed.now + seconds) * 1000));
const ask = (statements: string[] = []) => client().signTrustBundle({ statements, filter: [], requestId: 'test' });
const nameOf = (key: string) =>
  (['old', 'next'] as const).find((one) => readCertificate(roots[one]).spkiSha256 === key) ?? 'other';
const anchorsOf = (bundle: Uint8Array) =>
  parseBundle(bundle).content.anchors.map((anchor) => [
    anchor.role,
    nameOf(readCertificate(anchor.certificate).spkiSha256),
    anchor.until,
  ]);

before(async () => {
  bed = await TrustBed.make({ filter: undefined }, { roots: { transitionSeconds: TRANSITION } });
  until = bed.now + 300 * DAY;
  const ceremonies = new LaterCeremonies(bed.keyd);
  await bed.keyd.stop();
  await ceremonies.rollover('rolled');
  await ceremonies.take();
  const [rollover] = (await client().trust()).rollovers;
  const { root } = (await client().trust()).certificates;
  assert.ok(rollover && root);
  const { old, newWithOld } = rollover.certificates;
  roots = { old, newWithOld, next: root };
  end = rollover.until.getTime() / 1000;
});
after(() => bed.keyd.remove());

test('TEST-KEY-16 a bundle that nobody ordered tells of a root that was rolled over until its transition is over, and then no more; where no later key of it is an anchor it stays for people to see to', async () => {
  const anchor = (role: 'server' | 'device', certificate: DerCertificate) => ({
    ...{ role, certificate: toBase64(certificate), from: bed.now - DAY, until },
  });
  const other = (await client().trust()).certificates['signing-root'] ?? assert.fail();
  const anchors = [
    anchor('server', roots.old),
    anchor('server', roots.next),
    anchor('device', roots.old),
    anchor('device', other),
  ];
  const ordered = await ask(await bed.approved(await bed.order(1, await bed.content({ anchors }))));
  assert.deepEqual(anchorsOf(ordered.bundle), [
    ['server', 'old', until],
    ['server', 'next', until],
    ['device', 'old', until],
    ['device', 'other', until],
  ]);
  pass(20 * DAY);
  const refreshed = await ask();
  assert.equal(refreshed.changed, false);
  assert.deepEqual(anchorsOf(refreshed.bundle), [
    ['server', 'old', end],
    ['server', 'next', until],
    ['device', 'old', until],
    ['device', 'other', until],
  ]);
  // A front end that keeps the next order back for months.
  pass(end - bed.now);
  const last = await ask();
  assert.deepEqual(anchorsOf(last.bundle), [
    ['server', 'next', until],
    ['device', 'old', until],
    ['device', 'other', until],
  ]);
  assert.deepEqual(JSON.parse((await client().trustStatus()).content ?? '').anchors.length, 3);
  await bed.keyd.restart();
  const { bundles } = await client().trustBundles({ after: 0, limit: 10 });
  assert.deepEqual(
    bundles.map(({ bundle, jws }) => [bundle, jws]),
    [ordered, refreshed, last].map(({ bundle, jws }) => [bundle, jws]),
    'the very bytes that were signed',
  );
  // What is ordered next begins with what stands, and takes nothing from anybody.
  const content = {
    ...(await bed.content()),
    anchors: [anchor('server', roots.next), anchor('device', roots.next), anchor('device', other)],
  };
  assert.equal((await ask(await bed.approved(await bed.order(2, content)))).version, 4);
});

test('TEST-KEY-16 no policy prolongs what the ceremony let end: a longer transition, or none, brings no old root back', () => {
  const { policy } = bed.keyd;
  const longer = transitionEnd({ ...policy, roots: { transitionSeconds: 10 * TRANSITION } }, roots);
  const shorter = transitionEnd({ ...policy, roots: { transitionSeconds: TRANSITION - DAY } }, roots);
  const { roots: _none, ...without } = policy;
  assert.deepEqual(
    [longer, transitionEnd(without, roots), shorter].map((at) => at.getTime() / 1000),
    [end, end, end - DAY],
  );
});
