import assert from 'node:assert/strict';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, fromPem, type SpkiSha256 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import type { Policy } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import { pino } from 'pino';
import type { AppendAudit } from '../../access/index.ts';
import { appendAudit } from '../../audit/index.ts';
import { DomainBed } from '../../authority/tests/bed.ts';
import { orderOf, signedBy } from '../../keyd/tests/release.ts';
import type { TlsIdentity } from '../../protocols/http/server.ts';
import { KeptTlsKeys } from '../kept-tls-keys.ts';
import { ServedHierarchy } from '../served-hierarchy.ts';
import { TlsServing, type TlsServingDeps } from '../tls-serving.ts';

const DAY = 86_400_000;
const log = pino({ level: 'silent' });
const BY = { actor: { kind: 'operator', id: 'ada' }, requestId: 'by-ada' } as const;

let bed: DomainBed;
let kept: KeptTlsKeys;
let policy: Policy;
let tls: TlsServing;
/** The newest trust bundle, if there is one. */
let newest: ReturnType<TlsServingDeps['bundles']['latest']>;
/** What those who connect are shown. */
let identity: TlsIdentity;

before(async () => {
  bed = await DomainBed.make();
  policy = bed.keyd.policy;
  const audit: AppendAudit = (tx, event) => appendAudit(tx, event, bed.keyd.clock);
  kept = new KeptTlsKeys({ store: bed.store, keyd: bed.keyd.client, clock: bed.keyd.clock, audit });
  await restart();
});
after(() => bed?.remove());

async function restart(host = 'localhost'): Promise<void> {
  const { clock, client } = bed.keyd;
  tls = new TlsServing({
    ...{ authority: bed.authority, store: bed.store, clock, log, kept },
    hierarchy: new ServedHierarchy(await client.trust(), clock),
    bundles: { latest: () => newest },
    get policy() {
      return policy;
    },
  });
  identity = await tls.start(host, (next) => {
    identity = next;
  });
}

const shown = () => readCertificate(fromPem('CERTIFICATE', identity.cert)[0] as DerCertificate);
const pass = (ms: number): void => bed.keyd.clock.set(new Date(bed.keyd.clock.now().getTime() + ms));
const keyOf = (use: string): SpkiSha256 =>
  kept.list().find((one) => one.use === use)?.spkiSha256 ?? assert.fail(`no ${use}`);

test('TEST-KEY-16 the certificate is renewed over the same key at half of its life, and not before', async () => {
  const first = shown();
  pass(44 * DAY);
  await tls.look();
  await restart();
  assert.equal(shown().serial, first.serial);
  pass(2 * DAY);
  await tls.look();
  const second = shown();
  assert.notEqual(second.serial, first.serial);
  assert.equal(second.spkiSha256, first.spkiSha256);
  await restart();
  assert.equal(shown().serial, second.serial);
  assert.equal(bed.store.read((records) => records.certificate('server', first.serial))?.status, 'good');
});

test('TEST-KEY-16 another name of the server has another certificate over the same key', async () => {
  const before = shown();
  await restart('hq.example');
  assert.ok(shown().san.includes('DNS:hq.example'));
  assert.equal(shown().spkiSha256, before.spkiSha256);
  await restart();
  assert.ok(!shown().san.includes('DNS:hq.example'));
});

test('TEST-KEY-16 while its certificate is on hold the key is not shown, and comes back when the hold comes off', async () => {
  const { serial, spkiSha256 } = shown();
  const selector = { issuer: 'server', serial } as const;
  await bed.authority.revoke({ selector, act: 'hold', ...BY });
  await tls.look();
  assert.equal(tls.problem?.code, 'tls-key.revoked');
  assert.notEqual(shown().spkiSha256, spkiSha256);
  const moment = shown().serial;
  await tls.look();
  assert.equal(shown().serial, moment, 'one key of the moment is enough');
  const asked = { actor: BY.actor, requestId: 'release' };
  const { count, listSha256 } = await bed.authority.census.take({ selector: { serial }, act: 'release', ...asked });
  const named = { kind: 'certificate', issuer: 'server', serial } as const;
  const order = orderOf([], { act: 'release', selector: named, count, listSha256 });
  const { done } = await bed.authority.revocations.propose(await signedBy(bed.keyd, 'ada', order), asked);
  await done;
  await tls.look();
  assert.equal(tls.problem, undefined);
  assert.equal(shown().spkiSha256, spkiSha256);
});

test('TEST-KEY-16 where the policy lets no TLS key live in a sealed file keyd gives no seal, and serve shows the kept one no more', async () => {
  const { custody } = policy;
  const rule = custody.find(({ purpose }) => purpose === 'tls-server') ?? assert.fail('no rule');
  const { spkiSha256 } = shown();
  policy = { ...policy, custody: [...custody.filter((one) => one !== rule), { ...rule, allowed: ['memory'] }] };
  await tls.look();
  assert.equal(tls.problem?.code, 'tls-key.custody-forbidden');
  await restart();
  assert.notEqual(shown().spkiSha256, spkiSha256);
  policy = { ...policy, custody };
  await tls.look();
  assert.equal(shown().spkiSha256, spkiSha256, 'it was not thrown away');
});

test('TEST-KEY-16 when its cryptoperiod is over the key is shown no more: serve says why, and the next one takes its place by order', async () => {
  const old = keyOf('current');
  const view = tls.view().keys.find(({ use }) => use === 'current');
  pass(Date.parse(view?.usedUntil ?? '') - bed.keyd.clock.now().getTime() - 1000);
  await tls.look();
  assert.equal(shown().spkiSha256, old);
  pass(1000);
  await tls.look();
  assert.equal(tls.problem?.code, 'tls-key.period-ended');
  assert.notEqual(shown().spkiSha256, old);
  await restart();
  assert.equal(tls.problem?.code, 'tls-key.period-ended');
  assert.match(String(tls.problem?.toJSON().remedy), /tls-key use/);
  await tls.prepare('next', false, BY);
  assert.equal(tls.problem?.code, 'tls-key.period-ended', 'a key that is prepared is not shown');
  const next = keyOf('next');
  await tls.use(next, BY);
  assert.equal(shown().spkiSha256, next);
  assert.equal(tls.problem, undefined);
  const row = bed.store.read((records) => records.keyBySpki(old));
  assert.equal(row?.state, 'destroyed');
  assert.equal(row?.successor, bed.store.read((records) => records.keyBySpki(next))?.id);
});

test('TEST-KEY-16 a prepared key that was reported compromised is not put in the place of the current one', async () => {
  const backup = keyOf('backup');
  await bed.store.commit((tx) => tx.compromiseKey(backup, bed.keyd.clock.now().getTime()));
  const before = shown().spkiSha256;
  await assert.rejects(tls.use(backup, BY), (error) => {
    assert.ok(error instanceof KeysteadError);
    return error.code === 'tls-key.revoked';
  });
  assert.equal(shown().spkiSha256, before);
  await tls.prepare('backup', true, BY);
  assert.notEqual(keyOf('backup'), backup);
  assert.equal(bed.store.read((records) => records.keyBySpki(backup))?.state, 'destroyed');
});

test('TEST-KEY-16 the backup of a pinned key whose record is damaged takes its place without a campaign, for which devices that refuse this server cannot move', async () => {
  const [current, backup] = [keyOf('current'), keyOf('backup')];
  const always = { from: 0, until: 2 ** 40 };
  const keys = [
    { ...always, spkiSha256: current, use: 'current' as const },
    { ...always, spkiSha256: backup, use: 'backup' as const },
  ];
  newest = { content: { pins: [{ role: 'serve', keys }] } };
  const waits = { code: 'tls-key.not-announced' };
  await assert.rejects(tls.use(backup, BY), waits, 'while the current one opens');
  const damaged = kept.list().map((one) => (one.spkiSha256 === current ? { ...one, sealed: 'AAAA' } : one));
  await bed.store.commit((tx) => tx.setMeta('serve.tls-keys', JSON.stringify(damaged)));
  await restart();
  assert.equal(tls.problem?.code, 'tls-key.unreadable');
  await tls.use(backup, BY);
  assert.equal(shown().spkiSha256, backup);
  assert.equal(tls.problem, undefined);
  assert.equal(bed.store.read((records) => records.keyBySpki(current))?.state, 'destroyed');
  newest = undefined;
});

test('TEST-KEY-13 keyd makes no seal for nothing: who would open what was never sealed is told that there is no master, and one that was lost is not made again', async () => {
  const other = await DomainBed.make();
  const older = join(other.keyd.dir, 'keystore.before');
  try {
    copyFileSync(join(other.keyd.dir, 'keystore.sealed'), older);
    const asked = other.keyd.client.tlsSealingKey({ spkiSha256: 'a'.repeat(64) as SpkiSha256, master: 1 });
    await assert.rejects(asked, { code: 'tls-key.seal-lost' });
    const [one, two, again] = await Promise.all(
      ['a', 'b', 'a'].map((one) => other.keyd.client.tlsSealingKey({ spkiSha256: one.repeat(64) as SpkiSha256 })),
    );
    assert.notDeepEqual(one?.key, two?.key);
    assert.deepEqual(one?.key, again?.key);
    await other.keyd.restart();
    const ask = { spkiSha256: 'a'.repeat(64) as SpkiSha256, master: 1 };
    assert.deepEqual((await other.keyd.client.tlsSealingKey(ask)).key, one?.key);
    // A copy of the keystore from before the master, beside the journal of now.
    await other.keyd.stop();
    copyFileSync(older, join(other.keyd.dir, 'keystore.sealed'));
    await other.keyd.start();
    await assert.rejects(other.keyd.client.tlsSealingKey(ask), { code: 'tls-key.seal-lost' });
    const next = await other.keyd.client.tlsSealingKey({ spkiSha256: ask.spkiSha256 });
    assert.equal(next.master, 2);
    assert.notDeepEqual(next.key, one?.key);
    await assert.rejects(other.keyd.client.tlsSealingKey(ask), { code: 'tls-key.seal-lost' });
  } finally {
    await other.remove();
  }
});
