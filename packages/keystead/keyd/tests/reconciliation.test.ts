import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type BatchTicketDraft,
  draftTicket,
  parseConsignment,
  parseReceipt,
  parseTicket,
  type SignedTicket,
  signConsignment,
  verifyReceipt,
} from '@keystead/core/lifecycle';
import fc from 'fast-check';
import { makeKey } from './bed.ts';
import { ModelHeadquarters, ModelNode, NOW } from './reconciliation-model.ts';

const tickets = new Map<string, SignedTicket>();

function ticketFor(factory: string, more: Partial<BatchTicketDraft> = {}): { text: string; signed: SignedTicket } {
  const text = draftTicket({
    id: `T-${factory}`,
    model: 'KS-PUMP-1',
    quota: 1000,
    notBefore: '2026-05-01T00:00:00Z',
    notAfter: '2026-07-01T00:00:00Z',
    lines: ['line-1'],
    deviceIds: { prefix: 'KS-', from: 1, to: 9999, width: 4 },
    profile: 'idevid',
    factory,
    ...more,
  });
  const signed = parseTicket(text);
  tickets.set(text, signed);
  return { text, signed };
}

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;
const id = (n: number): string => `KS-${String(n).padStart(4, '0')}`;

/** Everything that the node has to tell, in consignments. */
async function consignAll(node: ModelNode): Promise<string[]> {
  const documents: string[] = [];
  for (let document = await node.consign(); document !== null; document = await node.consign())
    documents.push(document);
  return documents;
}

const conflictsIn = (receipt: string) =>
  parseReceipt(receipt).content.quarantined.map(({ deviceId, conflicts }) => ({
    deviceId,
    conflicts: conflicts.map(({ conflict, with: other }) => `${conflict} ${other}`),
  }));

test('TEST-KEY-17 whatever is lost, repeated, in another order or cut off by a crash, headquarters has each certificate of the node exactly once', async () => {
  const ticket = ticketFor('berlin-1');
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.constant({ do: 'provision' as const }) },
    { weight: 2, arbitrary: fc.constant({ do: 'half' as const }) },
    { weight: 2, arbitrary: fc.constant({ do: 'finish' as const }) },
    { weight: 4, arbitrary: fc.constant({ do: 'consign' as const }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('send' as const), which: fc.nat(20), lost: fc.boolean() }) },
    { weight: 2, arbitrary: fc.constant({ do: 'node dies' as const }) },
    { weight: 2, arbitrary: fc.constant({ do: 'headquarters dies' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'disk full' as const }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const node = await ModelNode.make('berlin-1');
      const hq = new ModelHeadquarters([node], tickets);
      const made: string[] = [];
      const keys: ReturnType<typeof makeKey>[] = [];
      let half: { finish: () => Promise<void>; n: number } | undefined;
      const receipts = new Map<string, string>();
      const send = async (document: string, lost: boolean): Promise<void> => {
        try {
          const { receipt } = await hq.take(node.parcel(document, [ticket.text]));
          const before = receipts.get(document);
          assert.ok(before === undefined || before === receipt, 'a second receipt');
          if (!lost) receipts.set(document, receipt);
        } catch (error) {
          assert.ok(code('keyd.journal-failed')(error), String(error));
        }
      };
      for (const one of steps) {
        if (one.do === 'provision') {
          const key = makeKey();
          keys.push(key);
          await node.provision(id(keys.length), ticket.signed, key);
        }
        if (one.do === 'half' && half === undefined) {
          const key = makeKey();
          keys.push(key);
          node.underWay.add('half');
          half = { finish: await node.certify(id(keys.length), ticket.signed, key, 'half'), n: keys.length };
        }
        if (one.do === 'finish' && half !== undefined) {
          await half.finish();
          node.underWay.delete('half');
          half = undefined;
        }
        if (one.do === 'consign') made.push(...(await consignAll(node)));
        const document = one.do === 'send' ? made[one.which % Math.max(made.length, 1)] : undefined;
        if (one.do === 'send' && document !== undefined) await send(document, one.lost);
        if (one.do === 'node dies') {
          node.crash();
          // The device comes again with its key and gets its own.
          if (half !== undefined) await node.provision(id(half.n), ticket.signed, keys[half.n - 1]);
          half = undefined;
        }
        if (one.do === 'headquarters dies') hq.crash();
        if (one.do === 'disk full') hq.journal.failing = 1;
      }
      node.crash();
      hq.crash();
      hq.journal.failing = 0;
      made.push(...(await consignAll(node)));
      for (const document of [...made].reverse()) await send(document, false);
      assert.deepEqual(
        hq
          .taken()
          .map(({ serial }) => serial)
          .sort(),
        node.certified().sort(),
        'the same certificates, each once',
      );
      assert.equal(hq.taken().filter(({ conflicts }) => conflicts.length > 0).length, 0);
      assert.deepEqual(hq.consigned.histories.missing('berlin-1'), []);
      // What memory knows is what the journal says.
      const before = hq.consigned.units.count('berlin-1');
      hq.crash();
      assert.equal(hq.consigned.units.count('berlin-1'), before);
      for (const serial of node.contents.keys()) assert.ok(hq.consigned.units.believes('berlin-1', serial));
    }),
    { numRuns: 25 },
  );
});

test('TEST-KEY-19 the same device ids and keys at two factories: in whatever order they come, the same units contradict each other, and only the later one is in quarantine', async () => {
  const one = ticketFor('berlin-1');
  const two = ticketFor('lyon-2');
  const keys = Array.from({ length: 4 }, () => makeKey());
  const made = fc.array(fc.tuple(fc.constantFrom(0, 1), fc.integer({ min: 1, max: 4 }), fc.nat(3)), {
    minLength: 2,
    maxLength: 10,
  });
  await fc.assert(
    fc.asyncProperty(made, fc.infiniteStream(fc.nat()), async (units, dice) => {
      const nodes = [await ModelNode.make('berlin-1'), await ModelNode.make('lyon-2')] as const;
      const documents: { document: string; node: ModelNode; text: string }[] = [];
      const seen = new Set<string>();
      for (const [which, number, key] of units) {
        const node = nodes[which] ?? nodes[0];
        const { signed, text } = which === 0 ? one : two;
        // A node refuses by itself what contradicts its own units.
        if (seen.has(`${which} d${number}`) || seen.has(`${which} k${key}`)) continue;
        seen.add(`${which} d${number}`).add(`${which} k${key}`);
        await node.provision(id(number), signed, keys[key]);
        const document = await node.consign();
        if (document !== null) documents.push({ document, node, text });
      }
      const run = async (order: typeof documents) => {
        const hq = new ModelHeadquarters(nodes, tickets);
        for (const { document, node, text } of order) await hq.take(node.parcel(document, [text]));
        return hq.taken();
      };
      const shuffled = documents
        .map((value) => ({ value, at: dice.next().value }))
        .sort((a, b) => a.at - b.at)
        .map(({ value }) => value);
      for (const taken of [await run(documents), await run(shuffled)]) {
        for (const conflict of ['device-known', 'key-known'] as const) {
          const groups = Map.groupBy(taken, (unit) => (conflict === 'device-known' ? unit.deviceId : unit.spkiSha256));
          for (const group of groups.values()) {
            // Of those with one device id, or one key on several devices, all but the first are told of it.
            const others = new Set(group.map(({ deviceId }) => deviceId)).size > 1 || conflict === 'device-known';
            const told = group.map(({ conflicts }) => conflicts.some((found) => found.conflict === conflict));
            if (conflict === 'device-known')
              assert.deepEqual(
                told,
                group.map((_, index) => index > 0),
              );
            else if (!others) assert.ok(!told.includes(true));
            else assert.ok(told[0] === false && told.includes(true));
          }
        }
      }
    }),
    { numRuns: 40 },
  );
});

test('the same consignment again has the same receipt, to the byte, also after a restart; it verifies by the evidence key of headquarters', async () => {
  const ticket = ticketFor('berlin-1');
  const node = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  await node.provision('KS-0001', ticket.signed);
  const document = (await node.consign()) ?? '';
  const first = await hq.take(node.parcel(document, [ticket.text]));
  assert.equal(first.repeated, false);
  assert.equal(verifyReceipt(first.receipt, hq.evidence.spki).content.taken, 1);
  hq.crash();
  const again = await hq.take(node.parcel(document, [ticket.text]));
  assert.equal(again.repeated, true);
  assert.equal(again.receipt, first.receipt);
  assert.equal(hq.journal.entries.length, 1);
});

test('a certificate whose record keyd never made is consigned without one, its device comes again and has its own, and takes no other unit', async () => {
  const ticket = ticketFor('berlin-1', { quota: 1 });
  const node = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  const key = makeKey();
  await node.certify('KS-0001', ticket.signed, key, 'r-1');
  node.underWay.add('r-1');
  assert.equal(await node.consign(), null, 'it is being made');
  node.crash();
  const lost = (await node.consign()) ?? '';
  assert.equal(parseConsignment(lost).content.units[0]?.recordSha256, null);
  await node.provision('KS-0001', ticket.signed, key);
  const own = (await node.consign()) ?? '';
  // The later one first.
  const second = parseReceipt((await hq.take(node.parcel(own, [ticket.text]))).receipt).content;
  const first = parseReceipt((await hq.take(node.parcel(lost, [ticket.text]))).receipt).content;
  assert.deepEqual([second.taken, second.void.length, second.quarantined.length], [1, 0, 0]);
  assert.deepEqual([first.taken, first.void.length, first.quarantined.length], [0, 1, 0]);
  const [serial = ''] = node.contents.keys();
  assert.ok(hq.consigned.units.believes('berlin-1', serial));
  assert.ok(!hq.consigned.units.believes('berlin-1', first.void[0]?.serial ?? ''));
});

test('TEST-KEY-19 each thing that is wrong with a unit is named, and nothing is guessed', async () => {
  const node = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  const own = makeKey();
  hq.own.set('KS-0500', spkiSha256(own.spki));
  const good = ticketFor('berlin-1', { quota: 1 });
  const other = ticketFor('lyon-2');
  const narrow = ticketFor('berlin-1', { id: 'T-narrow', deviceIds: { prefix: 'KS-', from: 1, to: 9, width: 4 } });
  const over = ticketFor('berlin-1', { id: 'T-over', notAfter: '2026-05-02T00:00:00Z' });
  const { v: _, ...terms } = good.signed.ticket;
  const unknown = parseTicket(draftTicket({ ...terms, id: 'T-none' }));
  await node.provision('KS-0001', good.signed);
  await node.provision('KS-0002', good.signed);
  await node.provision('KS-0003', other.signed);
  await node.provision('KS-0010', narrow.signed);
  await node.provision('KS-0004', over.signed);
  await node.provision('KS-0005', unknown);
  await node.provision('KS-0500', narrow.signed, makeKey());
  await node.provision('KS-0006', narrow.signed, own);
  const document = (await node.consign()) ?? '';
  const texts = [good, other, narrow, over].map(({ text }) => text);
  const { receipt } = await hq.take(node.parcel(document, texts), [
    { index: 0, conflict: 'key-known', with: 'headquarters the LDevID of KS-0700' },
  ]);
  assert.deepEqual(conflictsIn(receipt), [
    { deviceId: 'KS-0001', conflicts: ['key-known headquarters the LDevID of KS-0700'] },
    { deviceId: 'KS-0002', conflicts: ['quota-exceeded T-berlin-1'] },
    { deviceId: 'KS-0003', conflicts: ['ticket-not-for-factory T-lyon-2 for lyon-2'] },
    { deviceId: 'KS-0010', conflicts: ['out-of-range T-narrow'] },
    { deviceId: 'KS-0004', conflicts: ['out-of-time T-over'] },
    { deviceId: 'KS-0005', conflicts: ['ticket-unknown T-none'] },
    { deviceId: 'KS-0500', conflicts: ['device-known headquarters KS-0500', 'out-of-range T-narrow'] },
    { deviceId: 'KS-0006', conflicts: ['key-known headquarters KS-0500'] },
  ]);
  for (const serial of node.contents.keys()) assert.ok(!hq.consigned.units.believes('berlin-1', serial));
});

test('consignments come in any order, those that are missing are named, and one that is too far ahead is refused', async () => {
  const ticket = ticketFor('berlin-1');
  const node = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  const documents: string[] = [];
  for (let n = 1; n <= 4; n += 1) {
    await node.provision(id(n), ticket.signed);
    documents.push((await node.consign()) ?? '');
  }
  const take = (n: number) => hq.take(node.parcel(documents[n - 1] ?? '', [ticket.text]));
  assert.deepEqual((await take(4)).missing, [1, 2, 3]);
  assert.deepEqual((await take(2)).missing, [1, 3]);
  assert.deepEqual((await take(1)).missing, [3]);
  assert.deepEqual((await take(3)).missing, []);
  const { v: _, ...content } = parseConsignment(documents[3] ?? '').content;
  const far = await signConsignment({ ...content, number: 10_006 }, node.evidence.signer);
  await assert.rejects(hq.take(node.parcel(far, [ticket.text])), code('consignment.too-far'));
});

test('a second content under a number that is known stops the factory until an operator accepts it, also over a restart', async () => {
  const ticket = ticketFor('berlin-1');
  const node = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  await node.provision('KS-0001', ticket.signed);
  const first = (await node.consign()) ?? '';
  const { v: _, ...content } = parseConsignment(first).content;
  const second = await signConsignment({ ...content, madeAt: '2026-06-01T12:00:01.000Z' }, node.evidence.signer);
  await node.provision('KS-0002', ticket.signed);
  const next = (await node.consign()) ?? '';
  const take = (document: string) => hq.take(node.parcel(document, [ticket.text]));
  await take(first);
  await assert.rejects(take(second), code('consignment.forked'));
  hq.crash();
  await assert.rejects(take(next), code('consignment.stopped'));
  assert.equal((await take(first)).repeated, true, 'what was taken keeps its receipt');
  const fork = hq.consigned.histories.fork('berlin-1');
  assert.equal(fork?.sha256, parseConsignment(second).sha256);
  const decision = { act: 'accept' as const, number: 1, sha256: fork?.sha256 ?? '' };
  hq.consigned.histories.resolve({ time: NOW.toISOString(), factory: 'berlin-1', decision });
  assert.equal((await take(second)).repeated, false);
  assert.equal((await take(next)).repeated, false);
  assert.equal(hq.taken().filter(({ conflicts }) => conflicts.length > 0).length, 0, 'the very same units again');
});

test('a parcel that was changed after keyd signed is refused with the unit and what is wrong, and nothing is taken', async () => {
  const ticket = ticketFor('berlin-1');
  const node = await ModelNode.make('berlin-1');
  const stranger = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  await node.provision('KS-0001', ticket.signed);
  await node.provision('KS-0002', ticket.signed);
  const parcel = node.parcel((await node.consign()) ?? '', [ticket.text]);
  const [one, two] = parcel.contents;
  assert.ok(one && two);
  const changed = (contents: typeof parcel.contents) => hq.take({ ...parcel, contents });
  await assert.rejects(changed([two, one]), code('consignment.unit-differs'));
  await assert.rejects(changed([{ ...one, record: two.record }, two]), code('consignment.unit-differs'));
  await assert.rejects(changed([{ ...one, signature: two.signature }, two]), code('consignment.unit-differs'));
  await assert.rejects(changed([{ ...one, certificate: 'AAAA' }, two]), code('consignment.unit-differs'));
  await assert.rejects(changed([one]), code('consignment.malformed'));
  await stranger.provision('KS-0001', ticket.signed);
  await assert.rejects(
    hq.take(stranger.parcel((await stranger.consign()) ?? '', [ticket.text])),
    code('factory.signature-invalid'),
  );
  const forged = { ...content(parcel.consignment), factory: 'nowhere-9' };
  await assert.rejects(
    hq.take({ ...parcel, consignment: await signConsignment(forged, node.evidence.signer) }),
    code('consignment.factory-unknown'),
  );
  assert.equal(hq.journal.entries.length, 0);
  assert.equal((await hq.take(parcel)).repeated, false);
});

test('TEST-KEY-17 whoever carries a parcel leaves out no certificate, ticket or signature of a ticket: the node has sealed it', async () => {
  const ticket = ticketFor('berlin-1');
  const node = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  await node.provision('KS-0001', ticket.signed);
  const parcel = await node.seal(node.parcel((await node.consign()) ?? '', [ticket.text]));
  await node.provision('KS-0002', ticket.signed);
  const next = await node.seal(node.parcel((await node.consign()) ?? '', [ticket.text]));
  const stranger = await (await ModelNode.make('berlin-1')).seal(parcel);
  await assert.rejects(hq.take({ ...parcel, contents: [null] }), code('consignment.seal-broken'));
  await assert.rejects(hq.take({ ...parcel, tickets: [] }), code('consignment.seal-broken'));
  await assert.rejects(hq.take({ ...parcel, tickets: [`${ticket.text} `] }), code('consignment.seal-broken'));
  await assert.rejects(hq.take({ ...parcel, seal: next.seal }), code('consignment.seal-broken'));
  await assert.rejects(hq.take(stranger), code('factory.signature-invalid'));
  await assert.rejects(hq.take({ ...parcel, seal: '{}' }), code('factory.document-malformed'));
  assert.equal(hq.journal.entries.length, 0);
  const { receipt } = await hq.take(parcel);
  assert.equal(parseReceipt(receipt).content.taken, 1);
});

const content = (document: string) => {
  const { v: _, ...rest } = parseConsignment(document).content;
  return rest;
};

test('an operator releases the unit that is right, and the other one is ended; or rejects it, and the other one stays', async () => {
  const one = ticketFor('berlin-1');
  const two = ticketFor('lyon-2');
  const key = makeKey();
  const [berlin, lyon] = [await ModelNode.make('berlin-1'), await ModelNode.make('lyon-2')];
  await berlin.provision('KS-0001', one.signed, key);
  await lyon.provision('KS-0002', two.signed, key);
  const setUp = async () => {
    const hq = new ModelHeadquarters([berlin, lyon], tickets);
    for (const [node, ticket] of [
      [berlin, one],
      [lyon, two],
    ] as const) {
      for (const entry of node.journal.entries) {
        if (entry.kind === 'consignment') await hq.take(node.parcel(entry.document, [ticket.text]));
      }
    }
    return hq;
  };
  await berlin.consign();
  await lyon.consign();
  const [early = ''] = berlin.contents.keys();
  const [late = ''] = lyon.contents.keys();
  const hq = await setUp();
  const unit = hq.consigned.units.bySerial('lyon-2', late);
  assert.equal(unit?.standing, 'quarantined');
  const ended = unit === undefined ? [] : hq.consigned.units.rivalsOf(unit);
  assert.deepEqual(ended, [{ where: 'berlin-1', deviceId: 'KS-0001' }]);
  const release = { act: 'release' as const, deviceId: 'KS-0002', serial: late, ended };
  hq.consigned.units.resolve({ factory: 'lyon-2', decision: release });
  assert.deepEqual(
    [hq.consigned.units.believes('berlin-1', early), hq.consigned.units.believes('lyon-2', late)],
    [false, true],
  );
  const again = await setUp();
  again.consigned.units.resolve({ factory: 'lyon-2', decision: { ...release, act: 'reject', ended: [] } });
  assert.deepEqual(
    [again.consigned.units.believes('berlin-1', early), again.consigned.units.believes('lyon-2', late)],
    [true, false],
  );
});

test('another factory that names the ticket of this one takes nothing of its quota', async () => {
  const ticket = ticketFor('berlin-1', { quota: 2 });
  const [berlin, lyon] = [await ModelNode.make('berlin-1'), await ModelNode.make('lyon-2')];
  const hq = new ModelHeadquarters([berlin, lyon], tickets);
  for (const n of [1, 2, 3]) await lyon.provision(id(90 + n), ticket.signed);
  for (const n of [1, 2]) await berlin.provision(id(n), ticket.signed);
  const lie = await hq.take(lyon.parcel((await lyon.consign()) ?? '', [ticket.text]));
  assert.equal(parseReceipt(lie.receipt).content.quarantined.length, 3);
  const honest = await hq.take(berlin.parcel((await berlin.consign()) ?? '', [ticket.text]));
  assert.deepEqual(conflictsIn(honest.receipt), []);
});

test('TEST-KEY-19 a device id that is none of its factory, claimed without a certificate, is in quarantine and stands in the way of nobody', async () => {
  const ticket = ticketFor('berlin-1');
  const elsewhere = ticketFor('lyon-2', { deviceIds: { prefix: 'KS-', from: 5000, to: 5999, width: 4 } });
  const [berlin, lyon] = [await ModelNode.make('berlin-1'), await ModelNode.make('lyon-2')];
  const hq = new ModelHeadquarters([berlin, lyon], tickets);
  const key = makeKey();
  // Whoever has the evidence key of a factory, and not the key of its sub-CA, has no certificate to show.
  await lyon.certify('KS-0001', elsewhere.signed, key);
  const lie = await hq.take(lyon.parcel((await lyon.consign()) ?? '', [elsewhere.text]));
  assert.deepEqual(conflictsIn(lie.receipt), [{ deviceId: 'KS-0001', conflicts: ['out-of-range T-lyon-2'] }]);
  assert.equal(hq.consigned.units.unitOf('KS-0001'), undefined, 'headquarters itself can make it');
  assert.equal(hq.consigned.units.ownerOf(spkiSha256(key.spki)), undefined);
  hq.crash();
  await berlin.provision('KS-0001', ticket.signed, key);
  const honest = await hq.take(berlin.parcel((await berlin.consign()) ?? '', [ticket.text]));
  assert.deepEqual(conflictsIn(honest.receipt), []);
  // With a certificate there are two devices of one id, and both are reported.
  await lyon.provision('KS-0002', elsewhere.signed);
  await berlin.provision('KS-0002', ticket.signed);
  await hq.take(lyon.parcel((await lyon.consign()) ?? '', [elsewhere.text]));
  const second = await hq.take(berlin.parcel((await berlin.consign()) ?? '', [ticket.text]));
  assert.deepEqual(conflictsIn(second.receipt), [{ deviceId: 'KS-0002', conflicts: ['device-known lyon-2 KS-0002'] }]);
});

test('a certificate that was given stays given, whatever the evidence key of its factory says later', async () => {
  const ticket = ticketFor('berlin-1');
  const node = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  await node.provision('KS-0001', ticket.signed);
  const first = (await node.consign()) ?? '';
  await hq.take(node.parcel(first, [ticket.text]));
  const { units, ...more } = content(first);
  const gone = units.map((unit) => ({ ...unit, recordSha256: null, keyOrigin: null }));
  const chained = { ...more, units: gone, number: 2, previousSha256: parseConsignment(first).sha256 };
  const lie = await signConsignment(chained, node.evidence.signer);
  await hq.take(node.parcel(lie, [ticket.text]));
  assert.ok(hq.consigned.units.believes('berlin-1', node.certified()[0] ?? ''));
  hq.crash();
  assert.ok(hq.consigned.units.believes('berlin-1', node.certified()[0] ?? ''));
});

test('a disk that is full when headquarters writes leaves nothing taken, and the next try takes all', async () => {
  const ticket = ticketFor('berlin-1');
  const node = await ModelNode.make('berlin-1');
  const hq = new ModelHeadquarters([node], tickets);
  await node.provision('KS-0001', ticket.signed);
  const parcel = node.parcel((await node.consign()) ?? '', [ticket.text]);
  hq.journal.failing = 1;
  await assert.rejects(hq.take(parcel), code('keyd.journal-failed'));
  const { receipt, repeated } = await hq.take(parcel);
  assert.equal(repeated, false);
  assert.deepEqual(conflictsIn(receipt), []);
  assert.equal(parseReceipt(receipt).content.takenAt, NOW.toISOString());
});

test('no certificate is believed before its entry is durable, and what could not be written takes no device id, key or quota from others', async () => {
  const [berlin, lyon] = [ticketFor('berlin-1', { quota: 1 }), ticketFor('lyon-2')];
  const [here, there] = [await ModelNode.make('berlin-1'), await ModelNode.make('lyon-2')];
  const hq = new ModelHeadquarters([here, there], tickets);
  const key = makeKey();
  await here.provision('KS-0001', berlin.signed, key);
  await there.provision('KS-0001', lyon.signed, key);
  const serial = here.certified()[0] ?? '';
  const parcel = here.parcel((await here.consign()) ?? '', [berlin.text]);
  const believed: boolean[] = [];
  hq.journal.writing = () => believed.push(hq.consigned.units.believes('berlin-1', serial));
  hq.journal.failing = 1;
  await assert.rejects(hq.take(parcel), code('keyd.journal-failed'));
  assert.equal(hq.consigned.units.believes('berlin-1', serial), false);
  assert.equal(hq.consigned.units.count('berlin-1'), 0);
  assert.equal(hq.consigned.units.exceeds('berlin-1', berlin.signed.sha256, 1, 'KS-0002'), false);
  const first = await hq.take(there.parcel((await there.consign()) ?? '', [lyon.text]));
  assert.deepEqual(conflictsIn(first.receipt), []);
  const later = await hq.take(parcel);
  assert.deepEqual(conflictsIn(later.receipt), [{ deviceId: 'KS-0001', conflicts: ['device-known lyon-2 KS-0001'] }]);
  assert.deepEqual(believed, [false, false, false]);
  assert.equal(hq.consigned.units.believes('lyon-2', there.certified()[0] ?? ''), true);
});
