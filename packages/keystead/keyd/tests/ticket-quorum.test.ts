import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { addTicketSignature, type BatchTicketDraft, joinTickets } from '@keystead/core/lifecycle';
import { KeydBed, makeKey, type TestKey } from './bed.ts';

/** A keyd at headquarters whose policy has two people sign a batch ticket. */
let bed: KeydBed;
before(async () => {
  const roles = ['policy-administrator', 'ca-operator'] as const;
  bed = await KeydBed.make({ quorums: { 'batch-ticket': { signatures: 2, roles: [...roles] } } });
});
after(() => bed.remove());

async function signed(more: Partial<BatchTicketDraft>, ...others: [string, TestKey][]): Promise<string> {
  let text = await bed.ticket(more);
  for (const [name, key] of others) text = await addTicketSignature(text, name, key.signer);
  return text;
}

const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'done',
    (error: unknown) => (error instanceof KeysteadError ? error.code : String(error)),
  );

test('TEST-KEY-13 keyd verifies the quorum of a ticket, its node and its ways itself; a refusal leaves nothing behind', async () => {
  const { pol, ada, lin } = bed.people;
  const both: [string, TestKey] = ['pol', pol];
  const at = (seconds: number) => new Date(bed.clock.now().getTime() + seconds * 1000).toISOString();
  const one = await bed.ticket({ id: 'a2' });
  const doubled = JSON.parse(one);
  doubled.signatures.push(JSON.parse(await bed.ticket({ id: 'a2' })).signatures[0]);
  const cases: [string, string][] = [
    [await bed.ticket({ id: 'a1' }), 'ticket.too-few-signatures'],
    [JSON.stringify(doubled), 'ticket.signer-twice'],
    [await signed({ id: 'a3' }, ['lin', lin]), 'ticket.signer-forbidden'],
    [await signed({ id: 'a4' }, ['eve', pol]), 'ticket.signer-unknown'],
    [await signed({ id: 'a5' }, ['pol', ada]), 'ticket.signature-invalid'],
    [await signed({ id: 'a6', factory: 'graz' }, both), 'ticket.other-factory'],
    [await signed({ id: 'a7', stations: ['station-9'] }, both), 'ticket.station-forbidden'],
    [await signed({ id: 'a8', keyOrigins: ['tpm2-attested', 'injected'] }, both), 'ticket.key-origin-forbidden'],
    [await signed({ id: 'a9', notBefore: at(-9), notAfter: at(-1) }, both), 'ticket.expired'],
    [
      await signed({ id: 'b1', deviceIds: { prefix: 'KS-', from: 2, to: 9, width: 4 } }, both),
      'ticket.device-forbidden',
    ],
  ];
  const journal = readFileSync(join(bed.dir, 'journal'));
  const { tickets } = await bed.client.status();
  for (const [ticket, code] of cases) assert.equal(await codeOf(bed.provision('KS-0001', ticket)), code);
  assert.deepEqual(readFileSync(join(bed.dir, 'journal')), journal);
  assert.deepEqual((await bed.client.status()).tickets, tickets);
});

test('one ticket is one quota, in whatever order its signatures come', async () => {
  const one = await bed.ticket({ id: 'c1', quota: 2 });
  const [ab, ba] = [
    await addTicketSignature(one, 'pol', bed.people.pol.signer),
    joinTickets([await addTicketSignature(one, 'pol', bed.people.pol.signer), one]),
  ];
  const turned = JSON.parse(ba);
  turned.signatures.reverse();
  const texts = [ab, JSON.stringify(turned), ab];
  const key = makeKey();
  await bed.provision('KS-0011', texts[0] ?? '', key);
  await bed.provision('KS-0011', texts[1] ?? '', key);
  await bed.provision('KS-0012', texts[1] ?? '');
  assert.equal(await codeOf(bed.provision('KS-0013', texts[2] ?? '')), 'ticket.quota-exhausted');
  // The same id, and another content.
  const other = await signed({ id: 'c1', quota: 99 }, ['pol', bed.people.pol]);
  assert.equal(await codeOf(bed.provision('KS-0013', other)), 'ticket.id-reused');
});
