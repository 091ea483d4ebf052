import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import {
  addRecountSignature,
  addTicketSignature,
  draftRecount,
  type RecountDraft,
  signAuthorisation,
} from '@keystead/core/lifecycle';
import { Swtpm } from '../../../tpm2/tests/swtpm.ts';
import { passphrase } from '../../ceremony/tests/rehearsal.ts';
import { counterConfigPath, makeTpm2Counter, writeCounterConfig } from '../../keystore/index.ts';
import { readPresence } from '../presence.ts';
import { csrFor, KEYD_PASSPHRASE, KeydBed, makeKey, type TestKey } from './bed.ts';

/** keyd whose journal is tied to an NV counter of a real TPM; batch tickets are signed by two. */
let swtpm: Swtpm;
let bed: KeydBed;
before(async () => {
  swtpm = await Swtpm.start();
  const roles = ['policy-administrator', 'ca-operator'] as const;
  bed = await KeydBed.make({ quorums: { 'batch-ticket': { signatures: 2, roles: [...roles] } } });
  await bed.stop();
  using secret = passphrase(KEYD_PASSPHRASE);
  writeCounterConfig(bed.dir, await makeTpm2Counter({ tpm: swtpm.address, index: 0x01800200 }, secret));
  await bed.start();
});
after(async () => {
  await bed.remove();
  await swtpm.stop();
});

const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => 'done',
    (error: unknown) => (error instanceof KeysteadError ? error.code : String(error)),
  );

let batches = 0;
async function batch(
  quota: number,
  notBefore?: Date,
): Promise<{ id: string; ticket: string; deviceId: (n: number) => string }> {
  batches += 1;
  const [id, prefix] = [`image-${batches}`, `I${batches}-`];
  const more = notBefore === undefined ? {} : { notBefore: notBefore.toISOString() };
  const one = await bed.ticket({ id, quota, deviceIds: { prefix, from: 1, to: 999, width: 3 }, ...more });
  const ticket = await addTicketSignature(one, 'pol', bed.people.pol.signer);
  return { id, ticket, deviceId: (n) => `${prefix}${String(n).padStart(3, '0')}` };
}

let images = 0;
/** The disk as it is now, and the way to put it back. keyd must be stopped for both. */
function image(): () => void {
  images += 1;
  const copy = `${bed.dir}.${images}`;
  cpSync(bed.dir, copy, { recursive: true, preserveTimestamps: true });
  return () => {
    rmSync(bed.dir, { recursive: true });
    cpSync(copy, bed.dir, { recursive: true, preserveTimestamps: true });
  };
}

const journalNow = (): string => readFileSync(join(bed.dir, 'journal'), 'utf8');

async function order(more: Partial<RecountDraft> = {}, ...signers: [string, TestKey][]): Promise<string> {
  const { count } = await bed.client.status();
  const { make, name = '', value = 0, mark = '' } = count.counter;
  const at = bed.clock.now();
  let text = draftRecount({
    log: (await bed.client.trust()).vkey,
    counter: { make: make as 'tpm2', name, value, mark },
    journal: count.journal,
    reason: 'the disk of the machine failed; the image of the night before was put back',
    at,
    expiresAt: new Date(at.getTime() + 3_600_000),
    ...more,
  });
  for (const [who, key] of signers) text = await addRecountSignature(text, who, key.signer);
  return text;
}
const recount = (text: string): Promise<string> => codeOf(bed.client.recount({ order: text, requestId: 'recount' }));

test('TEST-KEY-13 a disk that was put back gives no unit again, until operators order the way back', async () => {
  const { id, ticket, deviceId } = await batch(5);
  const key = makeKey();
  await bed.provision(deviceId(1), ticket, key);
  await bed.provision(deviceId(2), ticket);
  assert.equal((await bed.client.status()).count.state, 'level');
  await bed.stop();
  const putBack = image();
  await bed.start();
  for (const n of [3, 4, 5]) await bed.provision(deviceId(n), ticket);
  assert.equal(await codeOf(bed.provision(deviceId(6), ticket)), 'ticket.quota-exhausted');
  await bed.stop();
  putBack();
  await bed.start();

  // keyd is there and says what it sees; its journal says that three units are left, and it gives out none of them.
  const status = await bed.client.status();
  assert.equal(status.count.state, 'rolled-back');
  assert.deepEqual(
    status.tickets.find((one) => one.id === id),
    { id, units: 2, quota: 5 },
  );
  assert.equal(readPresence(bed.rehearsal.layout)?.count?.state, 'rolled-back');
  const untouched = journalNow();
  assert.equal(await codeOf(bed.provision(deviceId(6), ticket)), 'keyd.journal-rolled-back');
  assert.equal(await codeOf(bed.provision(deviceId(1), ticket, key)), 'keyd.journal-rolled-back');
  assert.equal(journalNow(), untouched);
  // What needs no trust in the count goes on.
  assert.ok((await bed.client.signCrl({ issuer: 'operational', number: 1, entries: [] })).crl.length > 0);

  // Each order that is not the one: its own code, and nothing is changed.
  const { ada, pol, lin } = bed.people;
  const seen = journalNow();
  const now = bed.clock.now().getTime();
  const { counter } = JSON.parse(Buffer.from(JSON.parse(await order()).payload, 'base64url').toString());
  const cases: [string, string][] = [
    [await order({}, ['ada', ada]), 'recount.too-few-signatures'],
    [await order({}, ['ada', ada], ['lin', lin]), 'recount.signer-forbidden'],
    [await order({}, ['ada', ada], ['eve', pol]), 'recount.signer-unknown'],
    [await order({}, ['ada', ada], ['pol', ada]), 'recount.signature-invalid'],
    [
      await order({ counter: { ...counter, value: counter.value - 1 } }, ['ada', ada], ['pol', pol]),
      'recount.other-values',
    ],
    [
      await order({ counter: { ...counter, mark: '11'.repeat(16) } }, ['ada', ada], ['pol', pol]),
      'recount.other-values',
    ],
    [await order({ journal: 99 }, ['ada', ada], ['pol', pol]), 'recount.other-values'],
    [await order({ log: 'another' }, ['ada', ada], ['pol', pol]), 'recount.other-keyd'],
    [
      await order({ at: new Date(now - 7200_000), expiresAt: new Date(now - 1000) }, ['ada', ada], ['pol', pol]),
      'recount.expired',
    ],
    ['{}', 'recount.malformed'],
  ];
  for (const [text, code] of cases) assert.equal(await recount(text), code);
  assert.equal(journalNow(), seen);
  assert.equal(await codeOf(bed.provision(deviceId(6), ticket)), 'keyd.journal-rolled-back');

  const good = await order({}, ['pol', pol], ['ada', ada]);
  const done = await bed.client.recount({ order: good, requestId: 'recount' });
  assert.deepEqual(done.signers, ['pol', 'ada']);
  // The answer was lost on the way: the same order has the same answer.
  assert.deepEqual(await bed.client.recount({ order: good, requestId: 'again' }), done);
  assert.equal((await bed.client.status()).count.state, 'level');
  // Also where keyd ends before another unit is taken.
  await bed.restart();
  assert.equal((await bed.client.status()).count.state, 'level');
  assert.equal(await codeOf(bed.provision(deviceId(6), ticket)), 'ticket.before-recount');
  bed.clock.advance(2);
  const rest = await batch(2, bed.clock.now());
  await bed.provision(rest.deviceId(1), rest.ticket);
  await bed.restart();
  assert.equal((await bed.client.status()).count.state, 'level');
  assert.equal(await codeOf(bed.provision(deviceId(6), ticket)), 'ticket.before-recount');
  await bed.provision(rest.deviceId(2), rest.ticket);

  // The same image once more: the order that was given is for another moment of the counter.
  const newest = image();
  await bed.stop();
  putBack();
  await bed.start();
  assert.equal((await bed.client.status()).count.state, 'rolled-back');
  assert.equal(await recount(good), 'recount.other-values');
  await bed.stop();
  newest();
  await bed.start();
  assert.equal((await bed.client.status()).count.state, 'level');
  assert.equal(await recount(await order({}, ['ada', ada], ['pol', pol])), 'recount.not-needed');
});

test('TEST-KEY-13 an image that is older by a single unit is told, and so is one from before there was a counter', async () => {
  const { ticket, deviceId } = await batch(3, bed.clock.now());
  await bed.provision(deviceId(1), ticket);
  await bed.stop();
  const putBack = image();
  await bed.start();
  await bed.provision(deviceId(2), ticket);
  await bed.stop();
  const newest = image();
  putBack();
  await bed.start();
  assert.equal(await codeOf(bed.provision(deviceId(3), ticket)), 'keyd.journal-rolled-back');
  await bed.stop();
  // Without the file that names the counter, it is not simply done without.
  rmSync(counterConfigPath(bed.dir));
  await bed.start();
  assert.equal((await bed.client.status()).count.state, 'missing');
  assert.equal(await codeOf(bed.provision(deviceId(3), ticket)), 'keyd.counter-missing');
  await bed.stop();
  newest();
  await bed.start();
  await bed.provision(deviceId(3), ticket);
});

test('with the TPM away no unit is given out and nothing else stops; when it is back, the same unit gets its result', async () => {
  const { ticket, deviceId } = await batch(1, bed.clock.now());
  const key = makeKey();
  await swtpm.end();
  assert.equal(await codeOf(bed.provision(deviceId(1), ticket, key)), 'keyd.counter-failed');
  assert.equal((await bed.client.status()).count.state, 'unreachable');
  assert.ok((await bed.client.signCrl({ issuer: 'server', number: 1, entries: [] })).crl.length > 0);
  assert.equal(await codeOf(bed.provision(deviceId(1), ticket, key)), 'keyd.counter-failed');
  await swtpm.boot();
  await bed.provision(deviceId(1), ticket, key);
  assert.equal(await codeOf(bed.provision(deviceId(2), ticket)), 'ticket.quota-exhausted');
  // keyd that starts without it waits for it, too.
  await bed.stop();
  await swtpm.end();
  await bed.start();
  assert.equal((await bed.client.status()).count.state, 'unreachable');
  assert.equal(await codeOf(bed.provision(deviceId(1), ticket, key)), 'keyd.counter-failed');
  await swtpm.boot();
  await bed.provision(deviceId(1), ticket, key);
  assert.equal((await bed.client.status()).count.state, 'level');
});

test('an enrolment authorisation is counted as a ticket is: its uses do not come back with an old disk', async () => {
  const whole = (ms: number): string => `${new Date(bed.clock.now().getTime() + ms).toISOString().slice(0, 19)}Z`;
  const authorisation = await signAuthorisation(
    {
      id: 'gateway-1',
      profile: 'tls-server',
      hosts: ['gw1.plant.example'],
      uses: 1,
      ways: ['acme'],
      approval: false,
      notBefore: whole(0),
      notAfter: whole(3_600_000),
    },
    'ada',
    bed.people.ada.signer,
  );
  const enrol = async (): Promise<string> =>
    codeOf(
      bed.client.issue({
        profile: 'tls-server',
        csr: await csrFor('gw1.plant.example'),
        requester: { kind: 'authorised', id: 'gateway-1', authorisation },
        hosts: ['gw1.plant.example'],
        requestId: 'gateway',
      }),
    );
  await bed.stop();
  const putBack = image();
  await bed.start();
  assert.equal(await enrol(), 'done');
  assert.equal(await enrol(), 'authorisation.spent');
  await bed.stop();
  putBack();
  await bed.start();
  assert.equal(await enrol(), 'keyd.journal-rolled-back');
});
