import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { checkPath, readCertificate } from '@keystead/core/x509';
import { KeydBed } from '../../keyd/tests/bed.ts';
import { LaterCeremonies } from '../../keyd/tests/later-bed.ts';
import { ServedHierarchy } from '../served-hierarchy.ts';

const YEAR = 365 * 86_400;
let bed: KeydBed;
let founding: DerCertificate;
let served: ServedHierarchy;

before(async () => {
  bed = await KeydBed.make({ roots: { transitionSeconds: YEAR } });
  founding = (await bed.client.trust()).certificates.root ?? assert.fail();
  const ceremonies = new LaterCeremonies(bed);
  await bed.stop();
  await ceremonies.rollover('rolled');
  await ceremonies.import();
  await ceremonies.intermediate('successor', { ca: 'operational', key: 'successor' }, { revokeOld: 'keyCompromise' });
  await ceremonies.take();
  served = new ServedHierarchy(await bed.client.trust(), bed.clock);
});
after(() => bed.remove());

test('each key of a root and of a CA has its address, and its CRL', () => {
  assert.deepEqual(served.names, [
    ...['root', 'root.2', 'signing-root', 'manufacturing', 'operational', 'operational.2', 'server', 'operator'],
  ]);
  assert.deepEqual(served.roots[0]?.certificate, founding);
});

test('what a revoked key issued is checked by nothing that is served', () => {
  assert.deepEqual(
    served.valid('operational', 'server').map(({ id }) => id),
    ['operational.2', 'server'],
  );
});

test('TEST-KEY-22 while the transition lasts both roots are anchors and lead to each other; then the old one is retired by itself', async () => {
  const { root, server } = served.certificates;
  const now = bed.clock.now();
  assert.deepEqual(served.anchors, [root, founding]);
  for (const anchor of served.anchors) {
    assert.equal(checkPath(server, served.chain('server'), [anchor], { now }).ok, true);
  }
  const [across] = served.newWithOld;
  assert.ok(across && served.oldWithNew.length === 1);
  assert.equal(readCertificate(across).spkiSha256, readCertificate(root).spkiSha256);
  bed.clock.advance(YEAR + 86_400);
  assert.deepEqual([served.anchors, served.newWithOld, served.oldWithNew], [[root], [], []]);
  assert.equal(checkPath(server, served.chain('server'), [root], { now: bed.clock.now() }).ok, true);
  assert.equal(checkPath(server, served.chain('server'), [founding], { now: bed.clock.now() }).ok, false);
  // Nor does a policy of later bring it back: the certificates that led on from it have ended.
  const longer = new ServedHierarchy(await bed.client.trust(), bed.clock, () => ({
    ...bed.policy,
    roots: { transitionSeconds: 9 * YEAR },
  }));
  assert.deepEqual([longer.anchors, longer.newWithOld, longer.oldWithNew], [[root], [], []]);
});
