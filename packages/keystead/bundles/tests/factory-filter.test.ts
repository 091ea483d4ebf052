import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Serial, toBase64, toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { contentsSha256, parseConsignment, signConsignment, signSeal } from '@keystead/core/lifecycle';
import { CarriedFilter, decodeFilter, encodeFilter } from '@keystead/core/trust';
import { type CertificateInfo, readCertificate } from '@keystead/core/x509';
import { makeKey } from '../../keyd/tests/bed.ts';
import { commissioned, TestNode } from '../../keyd/tests/factory-bed.ts';
import { TRUST, TrustBed } from '../../keyd/tests/trust-bed.ts';
import { StoreBed } from '../../store/tests/bed.ts';
import { collectSource } from '../filter-source.ts';
import { buildOf } from '../filter-work.ts';

const DAY = 86_400;
const RULE = { issuers: ['manufacturing' as const], seconds: 7 * DAY, everySeconds: 3600, mostDeltas: 4 };
const refused = (seen: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KeysteadError, String(error));
  assert.equal(error.code, 'trust-bundle.filter-refused', error.message);
  assert.match(`${error.field} ${error.seen}`, seen);
  return true;
};

let bed: TrustBed;
let records: StoreBed;
let node: TestNode;
let sub: CertificateInfo;
/** The consignments of the node by number, each with the hash of its payload. */
const hashes: string[] = [];

const seconds = (at: number) => at * 1000;
const pass = (by: number) => bed.keyd.clock.set(new Date(bed.keyd.clock.now().getTime() + seconds(by)));
const iso = () => bed.keyd.clock.now().toISOString();

/** A certificate of the factory, made now; `send` gives it to headquarters as one consignment. */
async function make(deviceId: string) {
  const key = makeKey();
  const { certificate, unit } = await node.idevid(bed.keyd, sub.der, deviceId, key);
  return { deviceId, key, unit, info: readCertificate(certificate) };
}
type Made = Awaited<ReturnType<typeof make>>;

/** Sends consignment `number`; the node says with it that nothing was made until `completeUntil` that it does not tell. */
async function send(number: number, made: Made, completeUntil?: string, previous = hashes[number - 1]) {
  const record = `device: "${made.deviceId}"\n`;
  const ticket = { id: 'batch-b', sha256: 'b'.repeat(64) };
  const consignment = await signConsignment(
    {
      ...{ factory: node.name, number, previousSha256: previous ?? null, madeAt: iso() },
      journal: { from: number, to: number },
      ...(completeUntil === undefined ? {} : { completeUntil }),
      units: [
        {
          ...{ deviceId: made.deviceId, serial: made.info.serial, spkiSha256: made.info.spkiSha256, ticket },
          recordSha256: toHex(sha256(Buffer.from(record))),
          ...{ keyOrigin: 'proof-of-possession', at: made.unit.at },
        },
      ],
      tickets: [],
      counter: { kind: 'none', value: 0 },
      checkpoint: null,
    },
    node.keys.evidence.signer,
  );
  const hash = parseConsignment(consignment).sha256;
  const signature = toBase64(await node.keys.evidence.signer.sign(Buffer.from(record)));
  const packed = { tickets: [], contents: [{ certificate: toBase64(made.info.der), record, signature }] };
  const about = { factory: node.name, number, consignmentSha256: hash, contentsSha256: contentsSha256(packed) };
  const seal = await signSeal(about, node.keys.evidence.signer);
  await bed.keyd.client.takeConsignment({ consignment, ...packed, seal, seen: [], requestId: `take-${hash}` });
  hashes[number] = hash;
}

/** As serve builds it. */
async function built(): Promise<Uint8Array> {
  const { client, clock, policy } = bed.keyd;
  const from = { store: records.store, keyd: client, policy, now: clock.now(), whole: false };
  return buildOf({ source: await collectSource(from, RULE), chain: [] });
}
const ask = (filter: Uint8Array, statements: string[] = []) =>
  bed.keyd.client.signTrustBundle({ statements, filter: [filter], requestId: 'test' });
/** A filter of which the factory's part is covered until another time. */
function covering(filter: Uint8Array, through: number | undefined): Uint8Array {
  const file = decodeFilter(filter);
  const blocks = file.blocks.map(({ through: own, ...block }) => {
    if (block.issuerSpkiSha256 !== spkiSha256(sub.spki))
      return { ...block, ...(own === undefined ? {} : { through: own }) };
    return through === undefined ? block : { ...block, through };
  });
  return encodeFilter({ ...file, blocks });
}
const throughOf = (filter: Uint8Array) => CarriedFilter.open(filter).through(spkiSha256(sub.spki));
const verdict = (filter: Uint8Array, { info }: Made) =>
  CarriedFilter.open(filter).verdict(info, sub, bed.keyd.clock.now());
const revoke = (serial: Serial) =>
  bed.keyd.client.listRevocations({
    issuer: `factory.${node.name}`,
    entries: [{ serial, revokedAt: bed.keyd.clock.now(), reason: 'keyCompromise' }],
  });

let first: Made;
let second: Made;

before(async () => {
  bed = await TrustBed.make({ ...TRUST, filter: RULE }, { factory: {} });
  records = new StoreBed();
  node = await TestNode.make('berlin-1');
  const { certified } = await commissioned(bed.keyd, node);
  sub = readCertificate(certified.manufacturing.certificate);
  first = await make('KS-0001');
  pass(60);
  second = await make('KS-0002');
  pass(7200);
});
after(async () => {
  await bed.keyd.remove();
  await records.remove();
});

test('TEST-KEY-10 of a factory of which nothing was told yet a filter says nothing: a device that asks hears that its certificates are not covered, and keyd signs none that says more', async () => {
  const filter = await built();
  assert.equal(throughOf(filter), 0);
  assert.equal(verdict(filter, first), 'not-covered');
  // Its CA is known: headquarters made it.
  const { issuers } = await bed.keyd.client.trust();
  const above = issuers.find(({ ca }) => ca === 'manufacturing');
  assert.ok(above);
  assert.equal(
    CarriedFilter.open(filter).verdict(sub, readCertificate(above.certificate), bed.keyd.clock.now()),
    'good',
  );
  const statements = await bed.approved(await bed.order(1, await bed.content()));
  const wanted = /factory\.berlin-1 until .*, where its certificates are known until 1970/;
  await assert.rejects(ask(covering(filter, 1), statements), refused(wanted));
  await assert.rejects(ask(covering(filter, undefined), statements), refused(wanted));
  const file = decodeFilter(filter);
  const blocks = file.blocks.filter(({ issuerSpkiSha256 }) => issuerSpkiSha256 !== spkiSha256(sub.spki));
  await assert.rejects(ask(encodeFilter({ ...file, blocks }), statements), refused(/nothing of factory\.berlin-1/));
  assert.equal((await ask(filter, statements)).version, 1);
});

test('TEST-KEY-10 what a factory has told of is good or revoked without a network, and what it made since is not covered; no filter that says otherwise is signed', async () => {
  // The node vouches for what it made until the second before the second unit.
  const until = Date.parse(second.unit.at) - 1;
  await send(1, first, new Date(until).toISOString());
  pass(60);
  await revoke(first.info.serial);
  pass(3700);
  const filter = await built();
  assert.deepEqual([verdict(filter, first), verdict(filter, second)], ['revoked', 'not-covered']);
  const right = throughOf(filter);
  assert.ok(right > 0 && right * 1000 <= until, String(right));
  await assert.rejects(ask(covering(filter, right + 1)), refused(/known until/));
  await assert.rejects(ask(covering(filter, right - 1)), refused(/known until/), 'a revocation could hide behind it');
  const file = decodeFilter(filter);
  const silent = file.blocks.map((block) =>
    block.issuerSpkiSha256 === spkiSha256(sub.spki)
      ? { ...block, inverted: false, form: { kind: 'none' as const } }
      : block,
  );
  await assert.rejects(
    ask(encodeFilter({ ...file, blocks: silent })),
    refused(new RegExp(`factory.berlin-1 ${first.info.serial} is revoked, and not in it`)),
  );
  assert.equal((await ask(filter)).version, 2);
  // A consignment comes while a filter is built. That one says what was known by then; one that says less still hides.
  pass(3700);
  const behind = await built();
  await send(2, second, iso());
  await assert.rejects(ask(covering(behind, right - 1)), refused(/known until/), 'a revocation could hide behind it');
  await assert.rejects(ask(covering(behind, 0)), refused(/known until/));
  assert.equal(throughOf(behind), right);
  assert.equal((await ask(behind)).version, 3);
  pass(3700);
  const next = await built();
  assert.equal(verdict(next, second), 'good');
  const accusing = decodeFilter(next).blocks.map((block) =>
    block.issuerSpkiSha256 === spkiSha256(sub.spki)
      ? { ...block, inverted: true, form: { kind: 'none' as const } }
      : block,
  );
  await assert.rejects(
    ask(encodeFilter({ ...decodeFilter(next), blocks: accusing })),
    refused(new RegExp(`factory.berlin-1 ${second.info.serial} is not revoked, and in it`)),
  );
  assert.equal((await ask(next)).version, 4);
});

test('TEST-KEY-10 after a consignment that did not come, and of a node that does not vouch, no more is covered than before', async () => {
  const before = throughOf(await built());
  const [lost, third] = [await make('KS-0003'), await make('KS-0004')];
  pass(600);
  const parted = `${'c'.repeat(64)}`;
  await send(4, third, iso(), parted);
  pass(3700);
  const filter = await built();
  assert.equal(throughOf(filter), before);
  assert.deepEqual([verdict(filter, lost), verdict(filter, third)], ['not-covered', 'not-covered']);
  assert.equal((await ask(filter)).version, 5);
});

test('TEST-KEY-10 a factory that has signed two histories is covered no more, at once: nobody can say what the other one made', async () => {
  pass(10);
  assert.equal((await bed.keyd.client.trustStatus()).urgent, false);
  const before = await built();
  await assert.rejects(send(2, await make('KS-0005'), iso(), hashes[1]), { code: 'consignment.forked' });
  assert.equal((await bed.keyd.client.trustStatus()).urgent, true);
  await assert.rejects(ask(before), refused(/known until 1970/));
  const filter = await built();
  assert.deepEqual([throughOf(filter), verdict(filter, second)], [0, 'not-covered']);
  assert.equal((await ask(filter)).version, 6);
  await bed.keyd.restart();
  assert.equal(throughOf(await built()), 0, 'also after a restart');
});

test('TEST-KEY-10 of a factory that was closed with its CAs revoked every IDevID is revoked in the next filter, which is urgent, also one that it never told of', async () => {
  const oslo = await TestNode.make('oslo-1');
  const { certified } = await commissioned(bed.keyd, oslo);
  const ca = readCertificate(certified.manufacturing.certificate);
  pass(3700);
  await ask(await built());
  pass(10);
  await commissioned(bed.keyd, oslo, { act: 'close', revoke: true });
  // Its CA is on the list of the CA above it by the same order; that is not all.
  assert.equal((await bed.keyd.client.trustStatus()).urgent, true);
  const filter = await built();
  const carried = CarriedFilter.open(filter);
  assert.equal(carried.saysOfAll(spkiSha256(ca.spki)), true);
  const file = decodeFilter(filter);
  const forgiving = file.blocks.map((block) =>
    block.issuerSpkiSha256 === spkiSha256(ca.spki) ? { ...block, inverted: false } : block,
  );
  await assert.rejects(ask(encodeFilter({ ...file, blocks: forgiving })), refused(/oslo-1 is believed no more/));
  await ask(filter);
  assert.equal((await bed.keyd.client.trustStatus()).urgent, false);
});
