import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { toBase64 } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import fc from 'fast-check';
import type { HostileFrontEnd } from 'keystead/keyd/tests/bed.ts';
import { commissionBy, quorumFor, TestNode } from 'keystead/keyd/tests/factory-bed.ts';
import { Siege } from './siege.ts';

/** A front end that was taken over, and people who have signed one order: what more can it make of that? */
let siege: Siege;
let front: HostileFrontEnd;
let berlin: TestNode;
let params: { request: string; statements: string[]; crls: string[]; requestId: string };
let founded: Record<string, unknown>;

before(async () => {
  siege = await Siege.make({ factory: {} });
  front = await siege.front();
  berlin = await TestNode.make();
  const statements = await quorumFor(siege.bed, berlin.order());
  params = { request: toBase64(berlin.request), statements, crls: [], requestId: 'commission' };
  const { ok, error } = await siege.ask(front, 'commissionFactory', params);
  assert.equal(error, undefined, error?.message);
  founded = ok as Record<string, unknown>;
});
after(() => siege.end());

const journalled = () => siege.entries.filter((entry) => entry.kind === 'factory').length;
const subCas = () => siege.entries.filter((entry) => entry.kind === 'certificate' && /-ca$/.test(entry.profile)).length;

/** Refused, and nothing in the journal. */
async function refused(code: RegExp, more: Record<string, unknown>): Promise<void> {
  const before = siege.entries.length;
  const { ok, error } = await siege.ask(front, 'commissionFactory', { ...params, ...more });
  assert.equal(ok, undefined);
  assert.match(error?.code ?? '', code, error?.message);
  assert.equal(siege.entries.length, before);
}

test('TEST-KEY-17 a front end that was taken over founds no factory, puts no key of its own under an order, and brings none back', async () => {
  const thief = await TestNode.make('berlin-1');
  const lyon = await TestNode.make('lyon-2');
  const other = lyon.order();
  const [ask, yes] = await quorumFor(siege.bed, other);
  const [own] = params.statements;
  assert.ok(ask && yes && own);
  // Another request under the order, half of a quorum, two halves of two orders, an order of one person.
  await refused(/^commission\.request-differs$/, { statements: [ask, yes] });
  await refused(/^commission\.too-few$/, { request: toBase64(lyon.request), statements: [ask] });
  await refused(/^commission\.other-order$/, {
    request: toBase64(lyon.request),
    statements: [ask, params.statements[1]],
  });
  await refused(/^commission\.duplicate$/, { request: toBase64(lyon.request), statements: [ask, yes, yes] });
  const alone = await commissionBy(siege.bed, 'ada', other, { act: 'approve' });
  await refused(/^commission\.self$/, { request: toBase64(lyon.request), statements: [ask, alone] });
  // The order that was carried out, with another request: the answer of the first time, for the keys of the first time.
  const again = await siege.ask(front, 'commissionFactory', { ...params, request: toBase64(thief.request) });
  assert.deepEqual(again.ok, founded);
  assert.deepEqual([journalled(), subCas()], [1, 2]);
});

test('TEST-KEY-17 an order that is changed anywhere is refused or is the same order, and keyd goes on', async () => {
  const lyon = await TestNode.make('lyon-2');
  const good = { request: toBase64(lyon.request), statements: await quorumFor(siege.bed, lyon.order()), crls: [] };
  const statement = fc.record({ at: fc.nat(), by: fc.integer({ min: 1, max: 127 }), which: fc.nat(1) });
  await fc.assert(
    fc.asyncProperty(statement, async ({ at, by, which }) => {
      const statements = good.statements.map((text, index) => {
        if (index !== which) return text;
        const bytes = Buffer.from(text, 'latin1');
        const place = at % bytes.length;
        bytes[place] = ((bytes[place] ?? 0) + by) % 128;
        return bytes.toString('latin1');
      });
      const { ok } = await siege.ask(front, 'commissionFactory', { ...good, statements, requestId: 'x' });
      return ok === undefined;
    }),
    { numRuns: 60 },
  );
  for (const more of [
    { statements: [] },
    { statements: Array(18).fill(good.statements[0]) },
    { request: toBase64(randomBytes(300)) },
    { crls: [toBase64(randomBytes(300))] },
    { commission: 'mine' },
    { request: '' },
  ]) {
    const { ok } = await siege.ask(front, 'commissionFactory', { ...good, requestId: 'x', ...more });
    assert.equal(ok, undefined, JSON.stringify(Object.keys(more)));
  }
  assert.deepEqual([journalled(), subCas()], [1, 2]);
  assert.deepEqual(siege.deaths, []);
});

test('TEST-KEY-17 no profile of a sub-CA is given by any other operation, and no list is made for a factory that is none', async () => {
  for (const profile of ['factory-manufacturing-ca', 'factory-server-ca', 'manufacturing-ca']) {
    const order = {
      profile,
      csr: toBase64(randomBytes(64)),
      requester: { kind: 'system', id: 'serve' },
      requestId: 'x',
    };
    const { ok } = await siege.ask(front, 'issue', order);
    assert.equal(ok, undefined);
  }
  for (const op of ['signCrl', 'listRevocations']) {
    const list = { issuer: 'factory.lyon-2', entries: [], ...(op === 'signCrl' ? { number: 1 } : {}) };
    const { error } = await siege.ask(front, op, list);
    assert.equal(error?.code, 'issuer.unknown');
  }
  const { error } = await siege.ask(front, 'factoryCommission', { factory: '../policies/1', number: 1 });
  assert.equal(error?.code, 'request.malformed');
});

test('TEST-KEY-17 killed with -9 after the order was carried out keyd gives the same answer when it comes again', async () => {
  await siege.restart();
  front = await siege.front();
  const { ok, error } = await siege.ask(front, 'commissionFactory', params);
  assert.equal(error, undefined, error?.message);
  assert.deepEqual(ok, founded);
  assert.deepEqual([journalled(), subCas()], [1, 2]);
});
