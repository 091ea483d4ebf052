import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import {
  contentsSha256,
  draftTicket,
  parseConsignment,
  parseParcel,
  parseTicket,
  signReceipt,
  signSeal,
  verifySeal,
} from '@keystead/core/lifecycle';
import { appendAudit } from '../../audit/index.ts';
import { makeKey } from '../../keyd/tests/bed.ts';
import { ModelNode } from '../../keyd/tests/reconciliation-model.ts';
import type { Params } from '../../keyd-client/index.ts';
import { StoreBed } from '../../store/tests/bed.ts';
import { Outbox } from '../outbox.ts';
import { recordTakenUnit } from '../taken-unit.ts';

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;
const text = draftTicket({
  id: 'T-1',
  model: 'KS-PUMP-1',
  quota: 100,
  notBefore: '2026-05-01T00:00:00Z',
  notAfter: '2026-07-01T00:00:00Z',
  lines: ['line-1'],
  deviceIds: { prefix: 'KS-', from: 1, to: 9999, width: 4 },
  profile: 'idevid',
  factory: 'berlin-1',
});
const signed = parseTicket(text);

async function set(t: { after(fn: () => unknown): void }) {
  const bed = new StoreBed();
  t.after(() => bed.remove());
  const store = bed.open();
  const node = await ModelNode.make('berlin-1');
  const headquarters = makeKey();
  const documents: string[] = [];
  /** As keyd answers: what was made before is given again, the next is made when there is something to tell. */
  const signConsignment = async ({ number }: { number: number }) => {
    if (documents[number - 1] === undefined) {
      const made = await node.consign();
      if (made !== null) documents.push(made);
    }
    return { document: documents[number - 1] ?? null };
  };
  const sealParcel = async ({ requestId: _, ...packed }: Params<'sealParcel'>) => ({
    seal: await signSeal({ factory: 'berlin-1', ...packed }, node.evidence.signer),
  });
  const audit: Parameters<typeof recordTakenUnit>[1]['audit'] = (tx, event) => appendAudit(tx, event, bed.clock);
  const deps = { store, audit, clock: bed.clock, keyd: { signConsignment, sealParcel } };
  const open = () => new Outbox(deps, headquarters.spki);
  /** The node's serve records a unit. */
  const recorded = async (serial: string): Promise<void> => {
    const content = node.contents.get(serial);
    const unit = documents.flatMap((one) => parseConsignment(one).content.units).find((one) => one.serial === serial);
    assert.ok(content && unit);
    await store.commit((tx) =>
      recordTakenUnit(tx, deps, {
        ...{ factory: 'berlin-1', number: 1, unit, content, ticket: text, requestId: 'r', now: 1 },
        actor: { kind: 'system', id: 'test' },
      }),
    );
  };
  const receipt = (document: string, by = headquarters) => {
    const { content, sha256 } = parseConsignment(document);
    const counts = { taken: content.units.length, void: [], quarantined: [] };
    const { factory, number } = content;
    return signReceipt(
      { factory, number, consignmentSha256: sha256, takenAt: '2026-06-01T12:00:00.000Z', ...counts },
      by.signer,
    );
  };
  return { store, node, documents, open, recorded, receipt };
}

test('TEST-KEY-17 a consignment leaves when each of its units is recorded or given up, and waits until its receipt is here', async (t) => {
  const { node, documents, open, recorded, receipt } = await set(t);
  const outbox = open();
  assert.equal(await outbox.collect('r'), 0);
  await node.provision('KS-0001', signed);
  assert.equal(await outbox.collect('r'), 1);
  assert.deepEqual(await outbox.ready(0, 8, 'r'), [], 'its unit is being recorded');
  const [serial = ''] = node.contents.keys();
  await recorded(serial);
  const [parcel] = await outbox.ready(0, 8, 'r');
  assert.ok(parcel);
  const { consignment, contents, tickets, seal } = parseParcel(parcel.text);
  const packed = { factory: 'berlin-1', number: 1, consignmentSha256: parcel.sha256 };
  verifySeal(seal, [node.evidence.spki], { ...packed, contentsSha256: contentsSha256({ tickets, contents }) });
  assert.deepEqual([consignment, contents, tickets], [documents[0], [node.contents.get(serial)], [text]]);
  assert.equal(await outbox.settle(await receipt(consignment), 'r'), true);
  assert.equal(await outbox.settle(await receipt(consignment), 'r'), false, 'the same again changes nothing');
  assert.deepEqual(await outbox.ready(0, 8, 'r'), []);
  const { made, settled, waiting } = outbox.progress();
  assert.deepEqual([made, settled, waiting], [1, 1, 0]);
});

test('a front end that lost what keyd gave out, or was killed in between, has the same consignment the next time', async (t) => {
  const { node, documents, open, recorded } = await set(t);
  await node.provision('KS-0001', signed);
  const lost = await node.consign();
  documents.push(lost ?? '');
  assert.equal(await open().collect('r'), 1);
  assert.equal(await open().collect('r'), 0);
  for (const serial of node.contents.keys()) await recorded(serial);
  const [parcel] = await open().ready(0, 8, 'r');
  assert.equal(parseParcel(parcel?.text ?? '').consignment, lost);
});

test('a receipt of another key, for another content or for a number that was never made settles nothing', async (t) => {
  const { node, documents, open, receipt } = await set(t);
  const stranger = await ModelNode.make('berlin-1');
  await node.provision('KS-0001', signed);
  await stranger.provision('KS-0001', signed);
  const outbox = open();
  await outbox.collect('r');
  const [document = ''] = documents;
  await assert.rejects(outbox.settle(await receipt(document, makeKey()), 'r'), code('factory.signature-invalid'));
  await assert.rejects(outbox.settle(await receipt((await stranger.consign()) ?? ''), 'r'), code('receipt.foreign'));
  await assert.rejects(outbox.settle('{}', 'r'), code('factory.document-malformed'));
  assert.equal(outbox.progress().settled, 0);
});

test('an outbox tells what waits and since when, and why headquarters refuses it until there is a receipt', async (t) => {
  const { node, documents, open, recorded, receipt } = await set(t);
  await node.provision('KS-0001', signed);
  const outbox = open();
  await outbox.collect('r');
  const [document = ''] = documents;
  for (const serial of node.contents.keys()) await recorded(serial);
  const refusal = new KeysteadError('consignment.stopped', { field: 'factory', seen: 'berlin-1' });
  await outbox.refused(1, refusal);
  const before = outbox.progress();
  assert.deepEqual([before.waitingUnits, before.settledAt, before.refusal?.code], [1, null, 'consignment.stopped']);
  assert.match(before.waitingSince ?? '', /^\d{4}-.*Z$/);
  await outbox.refused(1, refusal);
  assert.deepEqual(outbox.progress().refusal, before.refusal, 'the first time is what is told');
  await outbox.settle(await receipt(document), 'r');
  const { waitingUnits, waitingSince, settledAt, refusal: after } = outbox.progress();
  assert.deepEqual([waitingUnits, waitingSince, after], [0, null, null]);
  assert.notEqual(settledAt, null);
});
