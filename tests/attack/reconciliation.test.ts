import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { signConsignment, signResolution } from '@keystead/core/lifecycle';
import { type HostileFrontEnd, makeKey } from 'keystead/keyd/tests/bed.ts';
import { ModelNode, NOW } from 'keystead/keyd/tests/reconciliation-model.ts';
import { Siege } from './siege.ts';

/** A front end that was taken over asks for all of reconciliation at a headquarters that knows no factory. */
let siege: Siege;
let front: HostileFrontEnd;

before(async () => {
  siege = await Siege.make();
  front = await siege.front();
});
after(() => siege.end());

async function refused(code: string, op: string, params: Record<string, unknown>): Promise<void> {
  const before = siege.entries.length;
  const answer = await siege.ask(front, op, { requestId: 'attack', ...params });
  assert.equal(answer.error?.code, code, JSON.stringify(answer));
  assert.equal(siege.entries.length, before, 'nothing is in the journal');
}

const unit = {
  deviceId: 'KS-0001',
  serial: '0102' as never,
  spkiSha256: 'c'.repeat(64) as never,
  recordSha256: null,
  ticket: { id: 'T-1', sha256: 'a'.repeat(64) },
  keyOrigin: null,
  at: NOW.toISOString(),
};
const draft = {
  factory: 'berlin-1',
  number: 1,
  previousSha256: null,
  madeAt: NOW.toISOString(),
  journal: { from: 1, to: 2 },
  units: [unit],
  tickets: [],
  counter: { kind: 'none' as const, value: 0 },
  checkpoint: null,
};

test('what no commissioned factory has signed is not taken in, whoever hands it over', async () => {
  const node = await ModelNode.make('berlin-1');
  const consignment = await signConsignment(draft, node.evidence.signer);
  const parcel = { consignment, tickets: [], contents: [null], seal: '{}', seen: [] };
  await refused('consignment.factory-unknown', 'takeConsignment', parcel);
  await refused('factory.document-malformed', 'takeConsignment', { ...parcel, consignment: '{}' });
  for (const more of [
    { contents: undefined },
    { seen: [{ index: -1, conflict: 'key-known', with: 'x' }] },
    { seen: [{ index: 0, conflict: 'nothing', with: 'x' }] },
    { factory: 'berlin-1' },
    { now: NOW.toISOString() },
    { contents: Array.from({ length: 501 }, () => null) },
  ]) {
    await refused('request.malformed', 'takeConsignment', { ...parcel, ...more });
  }
});

test('headquarters signs no consignment, and its evidence key nothing that a front end composes', async () => {
  await refused('consignment.not-a-node', 'signConsignment', { number: 1 });
  await refused('request.malformed', 'signConsignment', { number: 1, units: [unit] });
  await refused('request.malformed', 'signConsignment', { number: 0 });
  const packed = { number: 1, consignmentSha256: 'a'.repeat(64), contentsSha256: 'b'.repeat(64) };
  await refused('consignment.not-a-node', 'sealParcel', packed);
  await refused('request.malformed', 'sealParcel', { ...packed, factory: 'berlin-1' });
  await refused('request.malformed', 'sealParcel', { ...packed, contentsSha256: 'b' });
  await refused('factory.not-a-node', 'signHello', {});
  await refused('request.malformed', 'signHello', { factory: 'berlin-1', at: NOW.toISOString() });
  await refused('request.malformed', 'signHello', { document: '{}' });
});

test('nothing comes out of quarantine without the signature of an operator who may', async () => {
  const now = Date.now();
  const at = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
  const order = {
    act: 'release' as const,
    ...{ id: 'r-1', factory: 'berlin-1', reason: 'attack', deviceId: 'KS-0001', serial: '0102' as never },
    signedAt: at(now),
    expiresAt: at(now + 600_000),
  };
  const { ada, lin } = siege.bed.people;
  const sign = (name: string, signer: typeof ada.signer, more: Partial<typeof order> = {}) =>
    signResolution({ ...order, ...more }, name, signer);
  await refused('resolution.signature-invalid', 'resolve', { resolution: await sign('ada', makeKey().signer) });
  await refused('resolution.signer-forbidden', 'resolve', { resolution: await sign('lin', lin.signer) });
  await refused('resolution.signer-unknown', 'resolve', { resolution: await sign('eve', makeKey().signer) });
  const late = { signedAt: at(now - 7_200_000), expiresAt: at(now - 3_600_000) };
  await refused('resolution.not-now', 'resolve', { resolution: await sign('ada', ada.signer, late) });
  const early = { signedAt: at(now + 3_600_000), expiresAt: at(now + 7_200_000) };
  await refused('resolution.not-now', 'resolve', { resolution: await sign('ada', ada.signer, early) });
  await refused('resolution.nothing', 'resolve', { resolution: await sign('ada', ada.signer) });
  await refused('resolution.malformed', 'resolve', { resolution: 'x' });
});
