import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { fromHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { signKeyOrder, trustKeystoreId } from '@keystead/core/lifecycle';
import { CarriedFilter, parseBundle, takeBundle, takeBundles, verifyBundleJws } from '@keystead/core/trust';
import { readCertificate } from '@keystead/core/x509';
import { pin } from '../../../core/trust/tests/bundle-source.ts';
import { readJournal } from '../read-journal.ts';
import { TrustBundles } from '../trust-bundles.ts';
import { makeKey } from './bed.ts';
import { TRUST, TrustBed } from './trust-bed.ts';

const DAY = 86_400;
const code = (expected: string, seen?: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KeysteadError, String(error));
  assert.equal(error.code, expected, error.message);
  if (seen !== undefined) assert.match(`${error.field} ${error.seen}`, seen);
  return true;
};

let bed: TrustBed;
/** One that a backup was restored to. */
let another: TrustBed | undefined;
/** What serve knows of the certificates. */
const certificates: { issuer: string; serial: Serial; revoked: boolean }[] = [];
const client = () => bed.keyd.client;
const ask = (statements: string[], filter: Uint8Array[], requestId = 'test') =>
  client().signTrustBundle({ statements, filter, requestId });
const refresh = async (filter?: Uint8Array[]) => ask([], filter ?? [await bed.filter(certificates)]);
const entries = () => readJournal(join(bed.keyd.dir, 'journal')).entries.filter(({ kind }) => kind === 'trust-bundle');
/** Past the interval of filters. */
const pass = (seconds = 3700) => bed.keyd.clock.set(new Date(bed.keyd.clock.now().getTime() + seconds * 1000));

async function enrol(id: string): Promise<Serial> {
  const ticket = await bed.keyd.ticket({ id: `batch-${id}` });
  const { certificate } = await bed.keyd.provision(id, ticket);
  const { certificate: ldevid } = await bed.keyd.enrol(id, certificate as DerCertificate, makeKey());
  const { serial } = readCertificate(ldevid);
  certificates.push({ issuer: 'operational', serial, revoked: false });
  return serial;
}

async function revoke(serial: Serial, reason: 'keyCompromise' | 'certificateHold' = 'keyCompromise') {
  const revokedAt = bed.keyd.clock.now();
  await client().listRevocations({ issuer: 'operational', entries: [{ serial, revokedAt, reason }] });
  const found = certificates.find((one) => one.serial === serial);
  if (found !== undefined) found.revoked = true;
}

before(async () => {
  bed = await TrustBed.make();
});
after(async () => {
  await bed.keyd.remove();
  await another?.keyd.remove();
});

test('TEST-KEY-10 before the first order keyd signs no bundle, whatever filter it is given', async () => {
  await assert.rejects(refresh(), code('trust-bundle.none'));
  assert.deepEqual(await client().trustBundles({ after: 0, limit: 10 }), { bundles: [], end: true });
});

test('TEST-KEY-10 the first bundle takes an order of the quorum and a filter; a device that knows the first signer takes it, people read the same, and the same order has the same bundle after a restart', async () => {
  const content = await bed.content();
  const order = await bed.order(1, content);
  const statements = await bed.approved(order);
  await assert.rejects(ask(statements.slice(0, 1), [await bed.filter([])]), code('trust-order.too-few'));
  await assert.rejects(ask(statements, []), code('trust-bundle.filter-refused'));
  const filter = [await bed.filter([])];
  // Asked for many times at once, it is signed once.
  const asked = Promise.all(Array.from({ length: 5 }, () => ask(statements, filter)));
  const told = client().trustBundles({ after: 0, limit: 10 });
  const [made, ...others] = await asked;
  assert.ok(made);
  // Whoever publishes hears of one that is being signed.
  assert.deepEqual((await told).bundles, [made]);
  for (const other of others) assert.deepEqual(other, made);
  assert.deepEqual([made.version, made.change, made.changed, made.signersChanged], [1, 1, true, true]);
  const known = {
    fleet: 'pumps',
    version: 0,
    sha256: '',
    signers: [{ spki: bed.spkis.first, from: bed.now - DAY, until: bed.now + 365 * DAY }],
    firmware: [],
  };
  const taken = takeBundle(made.bundle, known, bed.keyd.clock.now());
  assert.equal(taken.state.sha256, made.sha256);
  assert.deepEqual(verifyBundleJws(made.jws, bed.spkis.first), taken.content);
  await bed.keyd.restart();
  const again = await ask(statements, []);
  assert.deepEqual(again, made);
  assert.equal(entries().length, 1);
  assert.deepEqual((await client().trustBundles({ after: 0, limit: 10 })).bundles, [made]);
});

test('TEST-KEY-10 nothing but an order changes the content: a refresh has the content of before, a later version and a newer filter, and only when it is due', async () => {
  pass(10);
  await assert.rejects(refresh(), code('trust-bundle.too-soon'));
  pass();
  const filter = [await bed.filter(certificates)];
  const made = await refresh(filter);
  const [first] = (await client().trustBundles({ after: 0, limit: 1 })).bundles;
  const [was, is] = [first?.bundle ?? new Uint8Array(), made.bundle].map((bytes) => parseBundle(bytes).content);
  assert.ok(was && is);
  const { version, issuedAt, expires, filterSha256, ...standing } = is;
  assert.deepEqual([version, made.changed], [2, false]);
  assert.ok(issuedAt > was.issuedAt && expires > was.expires && filterSha256 !== was.filterSha256);
  assert.deepEqual(
    { ...standing, version: 1, issuedAt: was.issuedAt, expires: was.expires, filterSha256: was.filterSha256 },
    was,
  );
  // The same filter once more: the answer was lost, and no second bundle is made.
  assert.deepEqual(await refresh(filter), made);
  assert.equal(entries().length, 2);
  const hostile = await bed.keyd.hostile();
  const { error } = await hostile.ask('signTrustBundle', {
    statements: [],
    filter: [],
    requestId: 'x',
    content: JSON.parse(JSON.stringify(await bed.content())),
  });
  assert.equal(error?.code, 'request.malformed');
});

test('TEST-KEY-10 an order counts once, for the content that it was written for, for its fleet, by who may, and as it was signed', async () => {
  const filter = async () => [await bed.filter(certificates)];
  const content = await bed.content();
  const stale = await bed.order(1, { ...content, firmware: [] });
  await assert.rejects(ask(await bed.approved(stale), await filter()), code('trust-order.stale'));
  const other = await bed.order(2, content, { fleet: 'ventilators' });
  await assert.rejects(ask(await bed.approved(other), await filter()), code('trust-order.not-in-policy'));
  const order = await bed.order(2, content);
  const [proposal, approval] = await bed.approved(order);
  assert.ok(proposal && approval);
  const own = await bed.statement('ca', order, { act: 'approve' });
  await assert.rejects(ask([proposal, own], await filter()), code('trust-order.self'));
  await assert.rejects(ask([proposal, approval, approval], await filter()), code('trust-order.duplicate'));
  const forged = await bed.statement('amy', order, {}, 'ben');
  await assert.rejects(ask([proposal, forged], await filter()), code('trust-order.signature-invalid'));
  const strange = await bed.statement('amy', { ...order, reason: 'another' });
  await assert.rejects(ask([proposal, strange], await filter()), code('trust-order.other-order'));
  const late = await Promise.all(
    (['ca', 'amy'] as const).map((one) =>
      bed.statement(one, order, { expiresAt: '2026-03-01T08:00:01Z', signedAt: '2026-03-01T08:00:00Z' }),
    ),
  );
  await assert.rejects(ask(late, await filter()), code('trust-order.expired'));
  assert.equal(entries().length, 2);
});

test('TEST-KEY-16 a pin set without a backup, or a bundle that nobody could follow, is refused whoever signs it', async () => {
  const filter = [await bed.filter(certificates)];
  const content = await bed.content();
  const [pins] = content.pins;
  assert.ok(pins);
  const unsafe = { ...content, pins: [{ ...pins, keys: pins.keys.filter(({ use }) => use !== 'backup') }] };
  const asked = async (what: typeof content, more = {}) =>
    ask(await bed.approved(await bed.order(2, what, more), ['amy', 'ben']), filter);
  await assert.rejects(asked(unsafe), code('trust-bundle.rule', /no backup/));
  await assert.rejects(asked(unsafe, { strand: true }), code('trust-bundle.rule', /no backup/));
  // Devices would take it today, and keyd could not sign it anew tomorrow: no bundle and no filter until a quorum is found.
  const ending = (until: number) => ({
    ...content,
    pins: [{ ...pins, keys: pins.keys.map((key) => (key.use === 'current' ? { ...key, until } : key)) }],
  });
  const end = bed.now + TRUST.bundle.seconds;
  for (const until of [bed.now + DAY, end])
    await assert.rejects(
      asked(ending(until), { strand: true }),
      code('trust-bundle.rule', /no current key of update-server that is good when the bundle ends/),
    );
  const mute = {
    ...content,
    signers: [{ ...content.signers[0], spki: Buffer.from(makeKey().spki).toString('base64') }],
  };
  await assert.rejects(asked(mute as typeof content, { strand: true }), code('trust-bundle.rule', /no key of keyd/));
  await assert.rejects(
    asked({ ...content, firmware: [] }, { strand: true }),
    code('trust-bundle.firmware-rolled-back'),
  );
  assert.equal(entries().length, 2);
});

test('TEST-KEY-16 a change that would strand devices is refused, unless the order says so and the larger quorum signs it', async () => {
  const filter = async () => [await bed.filter(certificates)];
  const content = await bed.content();
  const [pins] = content.pins;
  assert.ok(pins);
  const [now, ...others] = pins.keys;
  assert.ok(now);
  const sudden = { ...content, pins: [{ ...pins, keys: [{ ...now, spkiSha256: pin('sudden') }, ...others] }] };
  const ordered = async (what: typeof content, strand: boolean, by: ('amy' | 'ben')[]) =>
    ask(await bed.approved(await bed.order(2, what, { strand }), by), await filter());
  await assert.rejects(ordered(sudden, false, ['amy']), code('trust-order.strands', /no device has been told of/));
  await assert.rejects(ordered({ ...content, anchors: [] }, false, ['amy']), code('trust-order.strands', /left out/));
  await assert.rejects(
    ordered({ ...content, pins: [] }, false, ['amy', 'ben']),
    code('trust-order.strands', /left out/),
  );
  await assert.rejects(ordered(sudden, true, ['amy']), code('trust-order.too-few'));
  // The next key becomes the current one: every device has heard of it.
  const rolled = pins.keys.map((key) => (key.use === 'next' ? { ...key, use: 'current' as const } : key));
  const made = await ordered({ ...content, pins: [{ ...pins, keys: rolled }] }, false, ['amy']);
  assert.deepEqual([made.version, made.change, made.signersChanged], [3, 2, false]);
  const forced = await ask(
    await bed.approved(await bed.order(3, sudden, { strand: true }), ['amy', 'ben']),
    await filter(),
  );
  assert.deepEqual([forced.version, forced.change], [4, 3]);
  const { orders } = await client().trustStatus();
  assert.deepEqual(
    orders.map(({ strand }) => strand),
    [false, false, true],
  );
});

test('TEST-KEY-10 keyd compares each filter with its own list: one that omits a revocation or a hold, names what is good, covers another CA, is old or says other times is refused, and so is a delta that undoes', async () => {
  const serials = [await enrol('KS-0001'), await enrol('KS-0002'), await enrol('KS-0003')] as const;
  pass();
  const honest = structuredClone(certificates);
  await revoke(serials[0]);
  await revoke(serials[1], 'certificateHold');
  assert.equal((await client().trustStatus()).urgent, true);
  assert.deepEqual(
    new Set((await client().trustRevocations({ issuer: 'operational', from: 0, limit: 10 })).serials),
    new Set(serials.slice(0, 2)),
  );
  const refused = async (filter: Uint8Array[], seen: RegExp) =>
    assert.rejects(refresh(filter), code('trust-bundle.filter-refused', seen));
  await refused([await bed.filter(honest)], new RegExp(`${serials[0]} is revoked, and not in it`));
  const heldOut = certificates.map((one) => (one.serial === serials[1] ? { ...one, revoked: false } : one));
  await refused([await bed.filter(heldOut)], new RegExp(`${serials[1]} is revoked, and not in it`));
  const accused = certificates.map((one) => ({ ...one, revoked: true }));
  await refused([await bed.filter(accused)], new RegExp(`${serials[2]} is not revoked, and in it`));
  const whole = await bed.source(certificates);
  const without = whole.issuers.slice(0, 1);
  await refused([await bed.filter(certificates, { issuers: without })], /nothing of/);
  const stranger = { ...whole.issuers[0], issuerSpkiSha256: spkiSha256(makeKey().spki) };
  const more = [...whole.issuers, stranger] as typeof whole.issuers;
  await refused([await bed.filter(certificates, { issuers: more })], /no CA of the policy/);
  const at = (seconds: number) => new Date((bed.now + seconds) * 1000);
  const dated = (seconds: number) => ({ date: at(seconds), expires: at(seconds + 7 * DAY) });
  await refused([await bed.filter(certificates, dated(60))], /to come/);
  await refused([await bed.filter(certificates, dated(-3 * 3600))], /before that of the last|built every/);
  await refused([await bed.filter(certificates, { expires: at(30 * DAY) })], /after its date/);
  await refused([await bed.filter(certificates, { backdateSeconds: 0 })], /before its date/);
  const base = await bed.filter(certificates);
  const undone = await bed.delta([base], honest);
  await refused(undone, /not in it/);
  await assert.rejects(refresh([base, base]), code('filter.base-differs'));
  await assert.rejects(refresh([base.subarray(0, 70)]), code('filter.malformed'));
  const made = await refresh([base]);
  assert.equal(made.version, 5);
  assert.equal((await client().trustStatus()).urgent, false);
  pass(10);
  await assert.rejects(refresh(), code('trust-bundle.too-soon'));
  // A revocation makes the next one urgent, and a delta is enough.
  await revoke(serials[2]);
  // It does not make one urgent that leaves it out: there would be a reason again, and no end.
  await assert.rejects(ask([], []), code('trust-bundle.too-soon'));
  const chain = await bed.delta([base], certificates);
  const urgent = await refresh(chain);
  assert.deepEqual(
    [urgent.version, urgent.filterSha256],
    [6, Buffer.from(sha256(chain[1] ?? new Uint8Array())).toString('hex')],
  );
  const carried = CarriedFilter.open(base, chain.slice(1));
  const [operational] = whole.issuers.filter(({ serials: mine }) => [...mine].includes(serials[2]));
  assert.ok(operational);
  assert.equal(carried.says(operational.issuerSpkiSha256, serials[2]), true);
});

test('TEST-KEY-10 a revoked certificate that keyd does not remember to have issued, as after a restore, must be in the filter too', async () => {
  const forgotten = '5a17000000000000000000000000000000000001' as Serial;
  // The front end knows it from its own records, as one that is good.
  certificates.push({ issuer: 'operational', serial: forgotten, revoked: false });
  const omitting = [await bed.filter(certificates)];
  await revoke(forgotten);
  const { serials } = await client().trustRevocations({ issuer: 'operational', from: 0, limit: 10 });
  assert.ok(serials.includes(forgotten));
  await assert.rejects(refresh(omitting), code('trust-bundle.filter-refused', /is revoked, and not in it/));
  assert.equal((await refresh()).changed, false);
});

test('a refresh without a filter keeps the one before while it is fresh, and is refused with one that somebody holds back', async () => {
  pass();
  const kept = await ask([], []);
  const before = (await client().trustBundles({ after: kept.version - 2, limit: 1 })).bundles[0];
  assert.equal(kept.filterSha256, before?.filterSha256);
  // Nor does the age of the filter: one bundle an interval, also where the front end gives filters with old dates.
  await assert.rejects(ask([], []), code('trust-bundle.too-soon'));
  const old = new Date(bed.keyd.clock.now().getTime() - 3_600_000);
  const expires = new Date(old.getTime() + 7 * DAY * 1000);
  await assert.rejects(
    refresh([await bed.filter(certificates, { date: old, expires })]),
    code('trust-bundle.too-soon'),
  );
  pass(2 * 3600);
  await assert.rejects(ask([], []), code('trust-bundle.filter-refused', /built every/));
});

test('TEST-KEY-10 a new signer is introduced by a bundle that the old one signs; who was away takes that bundle first, and when the time of the old one is too short the change strands', async () => {
  const filter = async () => [await bed.filter(certificates)];
  const content = JSON.parse((await client().trustStatus()).content ?? '{}');
  const second = { spki: Buffer.from(bed.spkis.second).toString('base64'), from: bed.now, until: bed.now + 700 * DAY };
  const before = (await client().trustBundles({ after: 0, limit: 1 })).bundles[0];
  assert.ok(before);
  const rollover = await bed.order(4, { ...content, signers: [...content.signers, second] });
  const introduced = await ask(await bed.approved(rollover), await filter());
  assert.deepEqual([introduced.signersChanged, introduced.signer], [true, spkiSha256(bed.spkis.first)]);
  pass();
  const next = await refresh();
  assert.equal(next.signer, spkiSha256(bed.spkis.second));
  // A device that went by the first bundle until now.
  const first = parseBundle(before.bundle).content;
  const known = {
    ...{ fleet: 'pumps', version: 1, sha256: before.sha256 },
    ...{ signers: first.signers, firmware: first.firmware },
  };
  const clock = bed.keyd.clock.now();
  assert.throws(() => takeBundle(next.bundle, known, clock), code('trust-bundle.signer-unknown'));
  assert.equal(takeBundles([introduced.bundle, next.bundle], known, clock).content.version, next.version);
  // Ten days before the last signer ends, who may be away for thirty would never hear of another.
  const short = { ...second, until: bed.now + 10 * DAY };
  const shortened = { ...content, signers: [short] };
  await ask(await bed.approved(await bed.order(5, shortened)), await filter());
  const late = await bed.order(6, content);
  await assert.rejects(ask(await bed.approved(late), await filter()), code('trust-order.strands', /may be away/));
  pass();
  await refresh();
});

test('a key that is compromised signs no bundle; where no other is believed there is none, and it says so', async () => {
  const key = trustKeystoreId('second');
  const held = (await client().keys()).keys.find(({ id }) => id === key);
  assert.equal(held?.purpose, 'trust-bundle-signer');
  const order = await signKeyOrder(
    {
      spkiSha256: spkiSha256(bed.spkis.second),
      change: 'compromise',
      reason: 'a drill',
      after: 0,
      at: bed.keyd.clock.now(),
    },
    'ca',
    bed.people.ca.signer,
  );
  await client().changeKey({ order, requestId: 'stop' });
  pass();
  await assert.rejects(refresh(), code('trust-bundle.no-signer'));
  const { keys } = await client().trustStatus();
  assert.ok(keys.find(({ id }) => id === 'second')?.refused);
});

test('TEST-KEY-10 after a restore versions jump, nothing of before is signed anew, and the quorum decides again', async () => {
  const own = await TrustBed.make();
  another = own;
  const filter = async () => [await own.filter([])];
  const statements = await own.approved(await own.order(1, await own.content()));
  await own.keyd.client.signTrustBundle({ statements, filter: await filter(), requestId: 'a' });
  await own.keyd.stop();
  const path = join(own.keyd.dir, 'journal');
  const lines = readFileSync(path, 'utf8');
  own.keyd.clock.set(new Date(own.keyd.clock.now().getTime() + 3_700_000));
  const restored = {
    n: lines.trimEnd().split('\n').length + 1,
    time: own.keyd.clock.now().toISOString(),
    kind: 'restored',
    backupId: 'ab',
    manifestSha256: 'ab',
    custodians: ['cleo'],
    log: { backup: 0, restored: 0, newestSeen: 0 },
    acceptedLoss: false,
    crlNumbers: {},
    refused: [],
  };
  writeFileSync(path, `${lines}${JSON.stringify(restored)}\n`);
  await own.keyd.start();
  await assert.rejects(
    own.keyd.client.signTrustBundle({ statements: [], filter: await filter(), requestId: 'b' }),
    code('trust-order.before-restore'),
  );
  own.keyd.clock.set(new Date(own.keyd.clock.now().getTime() + 5_000));
  const again = await own.approved(await own.order(2, await own.content({ signers: (await own.content()).signers })));
  const made = await own.keyd.client.signTrustBundle({ statements: again, filter: await filter(), requestId: 'c' });
  assert.equal(made.version, Math.floor(Date.parse(restored.time) / 1000));
  // The same backup once more, when bundles were out that were signed since its first restore.
  const later = new Date(Date.parse(restored.time) + 7_200_000).toISOString();
  const second = new TrustBundles();
  for (const entry of readJournal(path).entries.slice(0, restored.n - 1)) second.replay(entry);
  second.skip(later);
  assert.ok(second.nextVersion > made.version);
  assert.equal(fromHex(made.sha256).length, 32);
});

test('TEST-KEY-10 a bundle of every role, eight names with three pins each and eight products stays below 4 KiB; one beyond the budget is refused by name, and nothing is signed', async () => {
  const own = another;
  assert.ok(own);
  const content = await own.content();
  const [[anchor], [pinned], [product]] = [content.anchors, content.pins, content.firmware];
  assert.ok(anchor && pinned && product);
  const [signed] = (await own.keyd.client.trustBundles({ after: 0, limit: 100 })).bundles.slice(-1);
  const order = async (names: number) => {
    const more = (n: number) => ({
      role: `service-number-${n}`,
      keys: pinned.keys.map((key) => ({ ...key, spkiSha256: pin(`${n} ${key.use}`) })),
    });
    const full = {
      ...content,
      anchors: (['server', 'device', 'firmware'] as const).map((role) => ({ ...anchor, role })),
      pins: [...content.pins, ...Array.from({ length: names - 1 }, (_, n) => more(n))],
      firmware: [
        ...content.firmware,
        ...Array.from({ length: 7 }, (_, n) => ({
          ...product,
          product: `infusion-pump-${n}`,
          signers: [pin(`now ${n}`), pin(`next ${n}`)],
        })),
      ],
    };
    const statements = await own.approved(await own.order(3, full));
    return own.keyd.client.signTrustBundle({ statements, filter: [await own.filter([])], requestId: `${names}` });
  };
  await assert.rejects(order(16), code('trust-bundle.too-large', /bytes of 4096/));
  assert.equal((await own.keyd.client.trustStatus()).latest?.version, signed?.version);
  const { bundle } = await order(8);
  assert.ok(bundle.length > 2800 && bundle.length <= 4096, String(bundle.length));
});
