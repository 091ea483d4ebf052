import assert from 'node:assert/strict';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { CarriedFilter, decodeFilter, parseBundle } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import Fastify from 'fastify';
import { makeKey } from '../../keyd/tests/bed.ts';
import type { TrustBed } from '../../keyd/tests/trust-bed.ts';
import { registerTrust } from '../../protocols/trust/index.ts';
import type { StoreBed } from '../../store/tests/bed.ts';
import type { BundleDeps, BundlePublisher } from '../publisher.ts';
import { bundlesDirectory, makePublisherBed, publisherOn, removePublisherBed } from './bed.ts';

const asked = { actor: { kind: 'operator' as const, id: 'ca' }, requestId: 'test' };
let bed: TrustBed;
let records: StoreBed;
let publisher: BundlePublisher;
const directory = () => bundlesDirectory({ bed, records });
const pass = (seconds: number) => bed.keyd.clock.set(new Date(bed.keyd.clock.now().getTime() + seconds * 1000));

const open = (
  keyd: BundleDeps['keyd'] = bed.keyd.client,
  limits: Pick<BundleDeps, 'mostInForce'> = {},
): BundlePublisher => publisherOn({ bed, records }, { keyd, ...limits });

const served = async (path: string, headers: Record<string, string> = {}) => {
  const app = Fastify();
  registerTrust(app, {
    index: () => publisher.index(),
    bundle: (version, form) => publisher.files.bundle(version, form),
    filter: (sha256) => publisher.files.filter(sha256),
  });
  const answer = await app.inject({ url: path, headers });
  await app.close();
  return answer;
};
const entries = () =>
  records.store
    .read((reader) => reader.auditEntries(0, 1000))
    .map((row) => Buffer.from(row.bytes).toString())
    .filter((text) => text.includes('"trust.bundle-published"'));
const published = () => entries().length;

/** A keyd whose answers to `signTrustBundle` are lost on the way. */
function answersLost(heard: (bundle: { version: number; bundle: Uint8Array }) => void = () => {}): BundleDeps['keyd'] {
  const { client } = bed.keyd;
  return {
    signTrustBundle: async (params) => {
      heard(await client.signTrustBundle(params));
      throw new KeysteadError('keyd.unreachable');
    },
    trustBundles: (params) => client.trustBundles(params),
    trustStatus: () => client.trustStatus(),
    trustRevocations: (params) => client.trustRevocations(params),
    trustSerials: (params) => client.trustSerials(params),
    trustIssuers: () => client.trustIssuers(),
  };
}

before(async () => {
  ({ bed, records } = await makePublisherBed());
  publisher = open();
  await publisher.start();
});
after(() => removePublisherBed({ bed, records }, publisher));

test('before the first order there is nothing to publish, and nothing to fetch', async () => {
  await publisher.tick();
  assert.equal(publisher.index(), null);
  for (const path of [
    'latest',
    'latest.jws',
    'index.json',
    'bundles/1',
    `filters/${'0'.repeat(64)}`,
    'bundles/..%2f..',
  ])
    assert.equal((await served(`/trust/${path}`)).statusCode, 404, path);
  await assert.rejects(publisher.publish([], asked), { code: 'trust-bundle.none' });
});

test('TEST-KEY-10 an order of the quorum is carried out and published: the bundle, what it names, and the way to it; caches may keep what never changes', async () => {
  const statements = await bed.approved(await bed.order(1, await bed.content()));
  const row = await publisher.publish(statements, asked);
  assert.deepEqual([row.version, row.signersChanged], [1, 1]);
  assert.equal((await publisher.publish(statements, asked)).version, 1, 'the same order again is the same bundle');
  const latest = await served('/trust/latest');
  assert.equal(latest.headers['content-type'], 'application/vnd.keystead.trust-bundle+cose');
  assert.match(String(latest.headers['cache-control']), /max-age=60/);
  const { content } = parseBundle(new Uint8Array(latest.rawPayload));
  assert.equal(content.filterSha256, row.filterSha256);
  const again = await served('/trust/latest', { 'if-none-match': String(latest.headers.etag) });
  assert.deepEqual([again.statusCode, again.rawPayload.length], [304, 0]);
  const one = await served('/trust/bundles/1');
  assert.deepEqual(one.rawPayload, latest.rawPayload);
  assert.match(String(one.headers['cache-control']), /immutable/);
  assert.deepEqual((await served('/trust/index.json')).json(), { fleet: 'pumps', latest: 1, signerChanges: [1] });
  assert.equal((await served(`/trust/filters/${row.filterSha256}`)).statusCode, 200);
  assert.equal((await served('/trust/bundles/2')).statusCode, 404);
  assert.equal(published(), 1);
});

test('TEST-KEY-10 a revocation that keyd lists comes into the next filter by itself, as a delta of the one before', async () => {
  const { certificate } = await bed.keyd.provision('KS-0001', await bed.keyd.ticket());
  const ldevid = await bed.keyd.enrol('KS-0001', certificate as DerCertificate, makeKey());
  const { serial } = readCertificate(ldevid.certificate as DerCertificate);
  const before = publisher.last()?.filterSha256;
  pass(60);
  await publisher.tick();
  assert.equal(publisher.last()?.version, 1, 'nothing is due');
  const revokedAt = bed.keyd.clock.now();
  const entries = [{ serial, revokedAt, reason: 'keyCompromise' as const }];
  await bed.keyd.client.listRevocations({ issuer: 'operational', entries });
  await publisher.tick();
  const last = publisher.last();
  assert.equal(last?.version, 2);
  const chain = await publisher.files.chain(last?.filterSha256 ?? '', 24);
  assert.equal(chain?.length, 2);
  const [base = new Uint8Array(), ...deltas] = chain ?? [];
  assert.equal(decodeFilter(deltas[0] ?? base).base, before);
  const { issuers } = await bed.keyd.client.trust();
  const operational = issuers.find(({ id }) => id === 'operational');
  assert.ok(operational);
  const issuer = spkiSha256(readCertificate(operational.certificate as DerCertificate).spki);
  assert.equal(CarriedFilter.open(base).says(issuer, serial), false);
  assert.equal(CarriedFilter.open(base, deltas).says(issuer, serial), true);
});

test('TEST-KEY-10 when this process dies between the journal of keyd and the publication, the next start publishes the very bundle that was signed, once', async () => {
  pass(3700);
  let lost: { version: number; bundle: Uint8Array } | undefined;
  const dying = open(
    answersLost((told) => {
      lost = told;
    }),
  );
  await assert.rejects(dying.tick(), { code: 'keyd.unreachable' });
  assert.equal(publisher.index()?.latest, 2, 'nobody was told of it');
  assert.equal((await served('/trust/bundles/3')).statusCode, 404);
  // keyd is killed too: its journal is all that is left.
  await bed.keyd.restart();
  publisher = open();
  await publisher.start();
  assert.equal(lost?.version, 3);
  assert.deepEqual(new Uint8Array((await served('/trust/bundles/3')).rawPayload), lost?.bundle);
  assert.equal(publisher.index()?.latest, 3);
  assert.equal((await served(`/trust/filters/${publisher.last()?.filterSha256}`)).statusCode, 200);
  await publisher.start();
  assert.equal(published(), 3);
});

test('a filter whose chain is lost or too long is built to stand alone, and what nobody needs any more is cleared away', async () => {
  rmSync(join(directory(), 'filters'), { recursive: true });
  publisher = open();
  await publisher.start();
  pass(3700);
  await publisher.tick();
  const last = publisher.last();
  assert.equal((await publisher.files.chain(last?.filterSha256 ?? '', 24))?.length, 1);
  // Beyond the end of every bundle but the last.
  for (let days = 0; days < 8; days += 1) {
    pass(86_400);
    await publisher.tick();
  }
  const names = readdirSync(directory());
  assert.ok(names.includes('1.cose'), 'it changed the signers');
  assert.ok(!names.includes('2.cose'));
  assert.ok(names.includes(`${publisher.last()?.version}.cose`));
});

test('TEST-KEY-10 a bundle whose answer is lost is published at the next tick, though nothing is due; the reason on record is that of its own order', async () => {
  const newest = async () => (await bed.keyd.client.trustStatus()).latest?.version;
  const deaf = open(answersLost());
  const before = publisher.last()?.version ?? 0;
  pass(3700);
  await assert.rejects(deaf.tick(), { code: 'keyd.unreachable' });
  assert.deepEqual([await newest(), publisher.last()?.version], [before + 1, before]);
  await deaf.tick();
  assert.equal(publisher.last()?.version, before + 1);
  const content = await bed.content();
  const first = await bed.approved(await bed.order(2, content, { reason: 'an order whose answer was lost' }));
  const second = await bed.approved(await bed.order(3, content, { reason: 'another order' }));
  await assert.rejects(deaf.publish(first, asked), { code: 'keyd.unreachable' });
  assert.equal((await publisher.publish(second, asked)).version, before + 3);
  const [lost = '', own = ''] = entries().slice(-2);
  assert.match(own, /another order/);
  assert.doesNotMatch(lost, /another order/);
});

test('TEST-KEY-10 bundles that are on record and not on the disk, as after a restore, are made again at the start: who was away needs those that changed the signers', async () => {
  const before = await Promise.all(['bundles/1', 'latest', 'latest.jws'].map((path) => served(`/trust/${path}`)));
  rmSync(directory(), { recursive: true });
  assert.equal((await served('/trust/bundles/1')).statusCode, 404);
  publisher = open();
  await publisher.start();
  const after = await Promise.all(['bundles/1', 'latest', 'latest.jws'].map((path) => served(`/trust/${path}`)));
  assert.deepEqual(
    after.map(({ statusCode }) => statusCode),
    [200, 200, 200],
  );
  assert.deepEqual(
    after.map(({ rawPayload }) => rawPayload),
    before.map(({ rawPayload }) => rawPayload),
  );
});

test('TEST-KEY-16 of more bundles in force than are kept, the first with each content stays: what a device goes by that reports one of the others is known until it is over', async () => {
  const content = await bed.content();
  const { fleet, expiresAt } = publisher.last() ?? assert.fail();
  const changed = { ...content, firmware: content.firmware.map((one) => ({ ...one, minimumSecurityCounter: 9 })) };
  publisher = open(undefined, { mostInForce: 2 });
  const made: { version: number; sha256: string; counter: number }[] = [];
  const counterOf = (version: number) => publisher.standingNow(version)?.content.firmware[0]?.minimumSecurityCounter;
  for (const [change, what] of [
    [4, content],
    [undefined, content],
    [5, changed],
    [undefined, changed],
    [undefined, changed],
  ] as const) {
    pass(3700);
    if (change === undefined) await publisher.tick();
    else await publisher.publish(await bed.approved(await bed.order(change, what)), asked);
    const { version, sha256 } = publisher.last() ?? assert.fail();
    made.push({ version, sha256, counter: what.firmware[0]?.minimumSecurityCounter ?? -1 });
  }
  assert.ok(bed.keyd.clock.now().getTime() < expiresAt, 'all are in force');
  const [first, refreshed, other] = made;
  assert.ok(first && refreshed && other);
  assert.notEqual(first.counter, other.counter);
  assert.equal((await served(`/trust/bundles/${refreshed.version}`)).statusCode, 404, 'it is not kept');
  for (const { version, sha256, counter } of made) {
    const told = publisher.standingNow(version);
    assert.deepEqual([told?.sha256, counterOf(version), told?.content.version], [sha256, counter, version]);
    assert.equal(told?.content.fleet, fleet);
  }
  // Put back after a loss, as what is served.
  rmSync(directory(), { recursive: true });
  publisher = open(undefined, { mostInForce: 2 });
  await publisher.start();
  assert.equal(counterOf(refreshed.version), refreshed.counter);
  assert.equal(publisher.standingNow(99), undefined);
  pass(31 * 86_400);
  assert.equal(publisher.standingNow(refreshed.version), undefined, 'nobody goes by it any more');
});

test('TEST-KEY-16 the first with a content stays also when it is over before more bundles are in force than are kept', async () => {
  const content = await bed.content();
  const firmware = content.firmware.map((one) => ({ ...one, minimumSecurityCounter: 10 }));
  publisher = open();
  const change = (publisher.last()?.change ?? 0) + 1;
  await publisher.publish(await bed.approved(await bed.order(change, { ...content, firmware })), asked);
  const first = publisher.last() ?? assert.fail();
  for (let half = 0; half < 2; half += 1) {
    pass((first.expiresAt - first.issuedAt) / 2000 + 1);
    await publisher.tick();
  }
  assert.ok(first.expiresAt < bed.keyd.clock.now().getTime(), 'it is over');
  publisher = open(undefined, { mostInForce: 1 });
  pass(3700);
  await publisher.tick();
  const before = (publisher.last()?.version ?? 0) - 1;
  assert.ok(before > first.version);
  assert.equal((await served(`/trust/bundles/${before}`)).statusCode, 404, 'in force, and not kept');
  assert.equal(publisher.standingNow(before)?.content.firmware[0]?.minimumSecurityCounter, 10);
});
