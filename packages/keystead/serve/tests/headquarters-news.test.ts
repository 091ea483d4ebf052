import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCrl, toHex } from '@keystead/core/bytes';
import { SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type BatchTicketDraft, parseHello, policyFile, signHello } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { pino } from 'pino';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { type AppendAudit, RefusalLog } from '../../access/index.ts';
import { type AuditEntry, appendAudit, parseEntry } from '../../audit/index.ts';
import { KeyClaims } from '../../authority/index.ts';
import { DomainBed, makeKey } from '../../authority/tests/bed.ts';
import { factoryRequestPath } from '../../keyd/factory/init.ts';
import { commissionBy } from '../../keyd/tests/factory-bed.ts';
import type { NewsView } from '../../protocols/rest/reconciliation.ts';
import { CommissionedNode } from '../../provisioning/tests/commissioned-node.ts';
import { FactoryNews } from '../factory-news.ts';
import { FactoryRecords } from '../factory-records.ts';
import { HeadquartersNews } from '../headquarters-news.ts';
import { openRooms } from '../open-rooms.ts';
import type { Rooms } from '../rooms.ts';

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;
const log = pino({ level: 'silent' });

const parties = new PolicyParties();
let hq: DomainBed;
let berlin: CommissionedNode;
let lyon: CommissionedNode;
let factories: FactoryRecords;
let desk: FactoryNews;
let rooms: Rooms;
let news: HeadquartersNews;
/** What headquarters answered, the newest last; a test may alter an answer. */
const answers: NewsView[] = [];
let alter: (answer: NewsView) => NewsView = (answer) => answer;

before(async () => {
  const others = parties.operators.filter(({ name }) => !['lin', 'aud'].includes(name));
  hq = await DomainBed.make({}, { factory: {} }, others);
  const { clock, rehearsal, client } = hq.keyd;
  const { layout } = rehearsal;
  berlin = await new CommissionedNode(hq, 'berlin-1').found();
  lyon = await new CommissionedNode(hq, 'lyon-2').found();
  const audit: AppendAudit = (tx, event) => appendAudit(tx, event, clock);
  const refusals = new RefusalLog({ store: hq.store, audit, clock });
  factories = new FactoryRecords({
    store: hq.store,
    keyd: client,
    audit,
    refusals,
    claims: new KeyClaims(),
    clock,
    layout,
  });
  await factories.start();
  desk = new FactoryNews({ store: hq.store, keyd: client, factories, clock, layout });
  rooms = await openRooms({
    layout: berlin.layout,
    keyd: berlin.client,
    clock,
    log,
    sealingKey: SecretBytes.random(32),
  });
  await rooms.start();
  const { factory } = rooms.hierarchy;
  assert.ok(factory);
  news = new HeadquartersNews({
    ...{ rooms, keyd: berlin.client, factory: 'berlin-1', layout: berlin.layout, log },
    evidence: readCertificate(factory.headquartersEvidence).spki,
    ask: async ({ hello, have }) => {
      const answer = alter(await desk.for('berlin-1', hello, have));
      answers.push(answer);
      return answer;
    },
  });
});
after(async () => {
  await rooms?.close();
  await berlin?.remove();
  await lyon?.remove();
  await hq?.remove();
});

const opened = async (more: Partial<BatchTicketDraft>): Promise<string> => {
  const ticket = await hq.keyd.ticket(more);
  await hq.provisioning.openBatch({ ticket, actor: { kind: 'operator', id: 'lin' }, requestId: `open-${more.id}` });
  return ticket;
};
const atNode = (type: string): AuditEntry[] =>
  rooms.store
    .read((records) => records.auditEntries(0, 10_000))
    .map(({ bytes }) => parseEntry(bytes))
    .filter((entry) => entry.type === type);

test('TEST-KEY-17 a ticket that names a factory and was opened at headquarters comes to its node over the link, once, and no other ticket does', async () => {
  const ticket = await opened({ id: 'B-1', factory: 'berlin-1' });
  await opened({ id: 'L-1', factory: 'lyon-2' });
  await opened({ id: 'H-1' });
  const heard = await news.once();
  assert.deepEqual(heard.tickets, ['B-1']);
  assert.equal(rooms.store.read((records) => records.ticket('B-1'))?.text, ticket);
  assert.equal(
    rooms.store.read((records) => records.ticket('L-1')),
    undefined,
  );
  assert.deepEqual((await news.once()).tickets, []);
  assert.deepEqual(answers.at(-1)?.tickets, [], 'it is not sent again');
  assert.equal(atNode('batch.opened').length, 1);
});

test('more tickets than one answer holds come in several', async () => {
  const ids = Array.from({ length: 20 }, (_, n) => `M-${String(n).padStart(2, '0')}`);
  for (const id of ids) await opened({ id, factory: 'berlin-1' });
  const before = answers.length;
  assert.deepEqual((await news.once()).tickets, ids);
  assert.deepEqual(
    answers.slice(before).map(({ tickets }) => tickets.length),
    [16, 4],
  );
});

test('a front end of headquarters that sends what nobody signed, or what is for another factory, changes nothing at the node, and what is good in the same answer is taken', async () => {
  const good = await opened({ id: 'G-1', factory: 'berlin-1' });
  const forged = await hq.keyd.ticket({ id: 'F-1', factory: 'berlin-1' }, { name: 'ada', key: makeKey() });
  const foreign = await hq.keyd.ticket({ id: 'F-2', factory: 'lyon-2' });
  const { policy } = await hq.keyd.client.trust();
  alter = (answer) => ({
    ...answer,
    tickets: ['{}', forged, foreign, good],
    crls: ['MAA='],
    policy: { policy: Buffer.from(policy).toString('utf8'), approvals: '{"version":1,"statements":[]}' },
    commission: '{}',
  });
  const heard = await news.once().finally(() => {
    alter = (answer) => answer;
  });
  assert.deepEqual(heard, { tickets: ['G-1'], policyVersions: [], crls: [], commission: undefined });
  assert.equal(existsSync(berlin.layout.waitingCommission), false);
  for (const id of ['F-1', 'F-2'])
    assert.equal(
      rooms.store.read((records) => records.ticket(id)),
      undefined,
    );
});

test('headquarters tells nobody who is not the node of this factory, now', async () => {
  const { document } = await berlin.client.signHello({ requestId: 'h' });
  const { content } = parseHello(document);
  const { v: _, ...draft } = content;
  const forged = await signHello(draft, makeKey().signer);
  await assert.rejects(desk.for('berlin-1', forged, []), code('factory.signature-invalid'));
  await assert.rejects(desk.for('lyon-2', document, []), code('factory.signature-invalid'));
  const other = await lyon.client.signHello({ requestId: 'h' });
  await assert.rejects(desk.for('berlin-1', other.document, []), code('factory.signature-invalid'));
  await assert.rejects(desk.for('nowhere', document, []), code('factory.unknown'));
  await assert.rejects(desk.for('berlin-1', '{}', []), code('factory.document-malformed'));
  hq.keyd.clock.advance(301);
  await assert.rejects(desk.for('berlin-1', document, []), code('factory.hello-not-now'));
  await assert.rejects(hq.keyd.client.signHello({ requestId: 'h' }), code('factory.not-a-node'));
});

test('TEST-KEY-26 a policy that headquarters put in force comes with its approvals, and the node goes by it before it looks at tickets', async () => {
  const current = policyFile((await hq.keyd.client.trust()).policy);
  const next = successor(current, (policy) => {
    policy.tickets.maxQuota = 500;
  });
  const approvals = await parties.approvals([current, next], hq.keyd.clock.now());
  await hq.keyd.client.changePolicy({ policy: next.bytes, approvals, requestId: 'change' });
  const heard = await news.once();
  assert.deepEqual(heard.policyVersions, [next.policy.version]);
  assert.equal(rooms.policy.tickets.maxQuota, 500);
  assert.equal(atNode('policy.changed').length, 1);
  assert.deepEqual((await news.once()).policyVersions, []);
});

test('a newer CRL of headquarters comes over the link, and is not sent again', async () => {
  const before = (await berlin.client.status()).factory?.crls.find(({ ca }) => ca === 'operator')?.number ?? 0;
  await hq.authority.publishCrl('operator');
  const heard = await news.once();
  assert.deepEqual(heard.crls, ['operator']);
  const after = (await berlin.client.status()).factory?.crls.find(({ ca }) => ca === 'operator')?.number ?? 0;
  assert.ok(after > before);
  await news.once();
  assert.deepEqual(answers.at(-1)?.crls, []);
});

test('a later commission is kept for the import, and goes on waiting until then', async () => {
  const request = readFileSync(factoryRequestPath(berlin.layout));
  const order = {
    ...{ id: 'o-renew', act: 'renew' as const, factory: 'berlin-1', requestSha256: toHex(sha256(request)) },
    ...{ deviceIdPrefixes: ['KS-'], serverNames: ['127.0.0.1'], seconds: 40 * 86_400 },
  };
  const statements = [
    await commissionBy(hq.keyd, 'ada', order),
    await commissionBy(hq.keyd, 'pol', order, { act: 'approve' }),
  ];
  const crls = ['root', 'manufacturing', 'server', 'operator'].map(
    (ca) => new Uint8Array(readFileSync(join(hq.keyd.rehearsal.layout.crl, `${ca}.crl`))) as DerCrl,
  );
  const { commission } = await hq.keyd.client.commissionFactory({ request, statements, crls, requestId: 'renew' });
  await factories.start();
  assert.equal((await news.once()).commission, 2);
  assert.equal(readFileSync(berlin.layout.waitingCommission, 'utf8'), commission);
  assert.equal((await news.once()).commission, 2);
});
