import assert from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate } from '@keystead/core/bytes';
import { type KeyChange, signKeyOrder } from '@keystead/core/lifecycle';
import { OcspIssuer, readCertificate, readCrl, readOcspResponse } from '@keystead/core/x509';
import type { Result } from '../../keyd-client/index.ts';
import { loadHierarchy } from '../hierarchy.ts';
import { KeyLedger } from '../key-ledger.ts';
import { csrFor, KeydBed } from './bed.ts';

const DAY = 86_400;
const YEAR = 365 * DAY;

/** One keyd for all: the tests take its keys through their lives, and its clock through the years, in this order. */
let bed: KeydBed;
let unit: Result<'provision'>;
before(async () => {
  bed = await KeydBed.make({
    cryptoperiods: { 'operational-ca': { originatorSeconds: 5 * YEAR, recipientSeconds: 10 * YEAR } },
  });
  unit = await bed.provision('KS-0001', await bed.ticket());
});
after(() => bed.remove());

async function keyOf(id: string): Promise<Result<'keys'>['keys'][number]> {
  const key = (await bed.client.keys()).keys.find((one) => one.id === id);
  if (key === undefined) throw new TypeError(`no key ${id}`);
  return key;
}

async function orderFor(
  id: string,
  change: KeyChange,
  by: 'ada' | 'lin' | 'aud' | 'pol' = 'ada',
  more: { after?: number; at?: Date; signAs?: string } = {},
): Promise<string> {
  const { spkiSha256, changes } = await keyOf(id);
  const { after: count = changes.length, at = bed.clock.now(), signAs = by } = more;
  const draft = { spkiSha256, change, after: count, reason: 'inquiry 17', at };
  return signKeyOrder(draft, signAs, bed.people[by].signer);
}

async function change(id: string, what: KeyChange, by: 'ada' | 'lin' | 'aud' | 'pol' = 'ada') {
  return bed.client.changeKey({ order: await orderFor(id, what, by), requestId: `${what}-${id}` });
}

const enrol = () => bed.enrol('KS-0001', unit.certificate);
let crl = 0;
async function listed(issuer: 'operational' | 'server' = 'operational'): Promise<number> {
  crl += 1;
  const signed = await bed.client.signCrl({ issuer, number: crl, entries: [] });
  return readCrl(signed.crl).number;
}

async function ocsp(
  serial: Result<'issue'>['serial'],
  status: 'good' | 'revoked',
  role: 'operational' | 'server' = 'operational',
): Promise<string> {
  const issuer = (await bed.client.trust()).certificates[role] as DerCertificate;
  const certId = new OcspIssuer(readCertificate(issuer)).certId(serial);
  const revoked = { revokedAt: bed.clock.now(), reason: 'cACompromise' as const };
  const answer = await bed.client.signOcsp({
    issuer: role,
    responses: [{ certId, status, ...(status === 'revoked' ? revoked : {}) }],
  });
  return readOcspResponse(answer.response, { issuer, serial, now: bed.clock.now() }).status;
}

test('keyd tells each key that it holds: purpose, place, periods of the policy, and the keys in its memory', async () => {
  const issued = await enrol();
  await ocsp(issued.serial, 'good');
  const { keys, masters, responders } = await bed.client.keys();
  assert.deepEqual(
    keys.map(({ id, purpose, custody }) => `${id} ${purpose} ${custody}`),
    [
      'ca-manufacturing manufacturing-ca sealed-file',
      'ca-operational operational-ca sealed-file',
      'ca-server server-ca sealed-file',
      'ca-operator operator-ca sealed-file',
      'evidence evidence-signer sealed-file',
      'root-crl root-crl-signer sealed-file',
      'tsa tsa-signer sealed-file',
      'log log sealed-file',
      'log-cosign log-cosign sealed-file',
    ],
  );
  for (const key of keys) {
    assert.ok(key.activatedAt !== null && key.activatedAt >= key.createdAt, key.id);
    assert.ok(key.originatorEnd !== null && key.recipientEnd !== null && key.originatorEnd <= key.recipientEnd, key.id);
    assert.deepEqual(key.changes, []);
  }
  const { activatedAt, originatorEnd } = await keyOf('ca-operational');
  assert.equal(originatorEnd?.getTime(), (activatedAt?.getTime() ?? 0) + 5 * YEAR * 1000);
  assert.deepEqual(
    masters.map(({ purpose, custody }) => [purpose, custody]),
    [['keystore-master', 'memory']],
  );
  assert.deepEqual(
    responders.map(({ issuer }) => issuer),
    ['operational'],
  );
});

test('a suspended CA issues nothing from that moment on, also after a restart, and still answers for what it issued', async () => {
  const issued = await enrol();
  const done = await change('ca-operational', 'suspend');
  assert.deepEqual([done.key, done.change, done.by], ['ca-operational', 'suspend', 'ada']);
  for (const restarted of [false, true]) {
    if (restarted) await bed.restart();
    await assert.rejects(enrol(), (error: { code: string; seen: string }) => {
      assert.equal(error.code, 'key.use-forbidden');
      assert.match(error.seen, /^suspended: .*\(ada: inquiry 17\)$/);
      return true;
    });
    assert.ok((await listed()) > 0);
    assert.equal(await ocsp(issued.serial, 'good'), 'good');
  }
  const [told] = (await keyOf('ca-operational')).changes;
  assert.deepEqual([told?.change, told?.by, told?.reason], ['suspend', 'ada', 'inquiry 17']);
  // The others go on.
  await bed.provision('KS-0002', await bed.ticket());
});

test('whoever suspended a key does not bring it back; a policy administrator does, and it issues again, also after a restart', async () => {
  await assert.rejects(change('ca-operational', 'resume'), { code: 'key-order.signer-forbidden' });
  await change('ca-operational', 'resume', 'pol');
  await enrol();
  await bed.restart();
  await enrol();
});

test('a front end that was taken over can neither forge an order, nor repeat one, nor keep one for later', async () => {
  const hostile = await bed.hostile();
  const ask = async (order: string) => (await hostile.ask('changeKey', { order, requestId: 'hostile' })).error?.code;
  assert.equal(await ask(await orderFor('ca-server', 'suspend', 'lin')), 'key-order.signer-forbidden');
  assert.equal(
    await ask(await orderFor('ca-server', 'suspend', 'lin', { signAs: 'ada' })),
    'key-order.signature-invalid',
  );
  const old = new Date(bed.clock.now().getTime() - 2 * 3_600_000);
  assert.equal(await ask(await orderFor('ca-server', 'suspend', 'ada', { at: old })), 'key-order.stale');
  assert.equal(await ask('{}'), 'key-order.malformed');
  assert.equal((await hostile.ask('changeKey', { order: '', requestId: 'x' })).error?.code, 'request.malformed');
  assert.equal((await hostile.ask('keys', { all: true })).error?.code, 'request.malformed');
  // An order that was carried out, and lifted since, is not carried out again.
  const order = await orderFor('ca-server', 'suspend');
  await bed.client.changeKey({ order, requestId: 'first' });
  await change('ca-server', 'resume', 'pol');
  assert.equal(await ask(order), 'key-order.stale');
  assert.equal((await keyOf('ca-server')).changes.length, 2);
  hostile.end();
});

test('orders that could not be written down have not been carried out, also when one followed on the other', async () => {
  const { spki } = readCertificate((await bed.client.trust()).certificates.server as DerCertificate);
  const { spkiSha256, id, algorithm, fips140, createdAt } = await keyOf('ca-server');
  const facts = { id, fips140, algorithm: algorithm as 'P-256', purpose: 'server CA', spki };
  const info = { ...facts, custody: 'sealed-file' as const, createdAt: createdAt.toISOString() };
  const ledger = new KeyLedger(loadHierarchy(bed.rehearsal.layout), [info], () => bed.policy);
  const now = bed.clock.now();
  const give = (change: KeyChange, after_: number, signer: string) => {
    const order = { v: 1 as const, spkiSha256, change, after: after_, reason: 'r', at: now.toISOString() };
    return ledger.change({ order, signer }, 'r', now);
  };
  const [first, second] = [give('suspend', 0, 'ada'), give('resume', 1, 'pol')];
  first.undo();
  second.undo();
  assert.deepEqual(ledger.list()[0]?.changes, []);
  ledger.require('ca-server', 'protect', now);
  const third = give('suspend', 0, 'ada');
  assert.throws(() => ledger.require('ca-server', 'protect', now), { code: 'key.use-forbidden' });
  third.undo();
  ledger.require('ca-server', 'protect', now);
});

test('of two orders for the same moment of a key only one is carried out', async () => {
  const orders = await Promise.all([orderFor('ca-operator', 'suspend'), orderFor('ca-operator', 'compromise')]);
  const done = await Promise.allSettled(orders.map((order) => bed.client.changeKey({ order, requestId: 'race' })));
  assert.equal(done.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.equal((await keyOf('ca-operator')).changes.length, 1);
  await bed.restart();
  assert.equal((await keyOf('ca-operator')).changes.length, 1);
});

test('of a compromised CA keyd says nothing good any more: certificates are revoked or nothing', async () => {
  const ask = async () =>
    bed.client.issue({
      profile: 'tls-server',
      csr: await csrFor('host.example'),
      requester: { kind: 'system', id: 'serve' },
      hosts: ['host.example'],
      requestId: 'compromised',
    });
  const { serial } = await ask();
  await change('ca-server', 'compromise');
  const issuer = 'server';
  await assert.rejects(ocsp(serial, 'good', issuer), { code: 'key.use-forbidden' });
  assert.equal(await ocsp(serial, 'revoked', issuer), 'revoked');
  assert.ok((await listed(issuer)) > 0);
  await assert.rejects(ask(), { code: 'key.use-forbidden' });
  await assert.rejects(change('ca-server', 'resume', 'pol'), { code: 'key.transition-forbidden' });
});

test('a stopped evidence key signs no record and takes no unit of a quota; a stopped log key signs no checkpoint', async () => {
  await change('evidence', 'deactivate');
  const ticket = await bed.ticket({ id: 'batch-2', quota: 1 });
  await assert.rejects(bed.provision('KS-0002', ticket), { code: 'key.use-forbidden', field: 'evidence' });
  assert.deepEqual(
    (await bed.client.status()).tickets.find(({ id }) => id === 'batch-2'),
    undefined,
  );
  await change('log-cosign', 'suspend');
  const { log } = await bed.client.status();
  const append = bed.client.signCheckpoint({ size: log.size, leaves: [new Uint8Array(32)] });
  await assert.rejects(append, { code: 'key.use-forbidden', field: 'log-cosign' });
  await change('log-cosign', 'resume', 'pol');
});

test('TEST-KEY-25 a CA past its originator usage period issues nothing more, and answers for what it issued until the end of its certificate', async () => {
  const issued = await enrol();
  bed.clock.advance(5 * YEAR);
  await assert.rejects(
    bed.enrol('KS-0001', unit.certificate),
    (error: { code: string; field: string; remedy: string }) => {
      assert.equal(error.code, 'key.cryptoperiod-ended');
      assert.equal(error.field, 'ca-operational');
      assert.match(error.remedy, /keystead keys show ca-operational/);
      return true;
    },
  );
  assert.ok((await listed()) > 0);
  assert.equal(await ocsp(issued.serial, 'good'), 'good');
  bed.clock.advance(5 * YEAR);
  await assert.rejects(listed(), { code: 'key.cryptoperiod-ended', field: 'ca-operational' });
});

test('the log is not silenced by a date: its keys go on past their period, until somebody stops them', async () => {
  bed.clock.advance(11 * YEAR);
  const { log } = await bed.client.status();
  const { size } = await bed.client.signCheckpoint({ size: log.size, leaves: [new Uint8Array(32)] });
  assert.equal(size, log.size + 1);
});

test('an entry of the journal about a key that is no longer here says nothing; one of a wrong form stops keyd', async () => {
  await bed.stop();
  const path = join(bed.dir, 'journal');
  const n = readFileSync(path, 'utf8').split('\n').filter(Boolean).length + 1;
  const entry = {
    n,
    time: bed.clock.now().toISOString(),
    kind: 'key',
    key: 'ca-server',
    spkiSha256: 'ab'.repeat(32),
    change: 'suspend',
    by: 'ada',
    reason: 'of an earlier key',
    requestId: 'r',
  };
  appendFileSync(path, `${JSON.stringify(entry)}\n`);
  await bed.start();
  assert.equal((await keyOf('ca-server')).changes.length, 3);
  await bed.stop();
  appendFileSync(path, `${JSON.stringify({ ...entry, n: n + 1, change: 'lend' })}\n`);
  await assert.rejects(bed.start(), { code: 'keyd.journal-damaged' });
});
