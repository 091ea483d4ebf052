import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { certificateOf, type IssuerId, signAuthorisation, signKeyOrder } from '@keystead/core/lifecycle';
import { checkPath, OcspIssuer, readCertificate, readCrl, readOcspResponse } from '@keystead/core/x509';
import type { Result } from '../../keyd-client/index.ts';
import { loadHierarchy, pinsPath } from '../hierarchy.ts';
import { importLater } from '../later-import.ts';
import { csrFor, KeydBed } from './bed.ts';
import { LaterCeremonies } from './later-bed.ts';

let bed: KeydBed;
let ceremonies: LaterCeremonies;
/** A device with its IDevID, and the LDevID that it got by the first key of the operational CA. */
let idevid: DerCertificate;
let first: Result<'issue'>;

before(async () => {
  bed = await KeydBed.make({ lifetimes: { ldevid: { seconds: 30 * 86_400 } } });
  ceremonies = new LaterCeremonies(bed);
  idevid = (await bed.provision('KS-0001', await bed.ticket())).certificate;
  first = await bed.enrol('KS-0001', idevid);
});
after(() => bed.remove());

const issuerOf = async (id: IssuerId): Promise<DerCertificate> =>
  (await bed.client.trust()).issuers.find((one) => one.id === id)?.certificate ?? assert.fail(`no issuer ${id}`);
const keyOf = async (id: string) =>
  (await bed.client.keys()).keys.find((one) => one.id === id) ?? assert.fail(`no key ${id}`);

async function ocsp(issuer: IssuerId, serial: Serial, status: 'good' | 'revoked' = 'good'): Promise<string> {
  const certificate = await issuerOf(issuer);
  const certId = new OcspIssuer(readCertificate(certificate)).certId(serial);
  const revoked = { revokedAt: bed.clock.now(), reason: 'superseded' as const };
  const answer = await bed.client.signOcsp({
    issuer,
    responses: [{ certId, status, ...(status === 'revoked' ? revoked : {}) }],
  });
  return readOcspResponse(answer.response, { issuer: certificate, serial, now: bed.clock.now() }).status;
}

async function crl(issuer: IssuerId, revoked: readonly Serial[] = []): Promise<Result<'signCrl'>> {
  const { crlNumbers } = await bed.client.status();
  const entries = revoked.map((serial) => ({ serial, revokedAt: bed.clock.now() }));
  return bed.client.signCrl({ issuer, number: (crlNumbers[issuer] ?? 0) + 1, entries });
}

test('a key that keyd made for a successor waits: it is told as not in use, and nothing is signed by it', async () => {
  await bed.stop();
  const request = await ceremonies.request({ ca: 'operational', key: 'successor' });
  // Asked again, for the first request was lost: the same key.
  const again = await ceremonies.request({ ca: 'operational', key: 'successor' });
  const csr = (bytes: Uint8Array) => JSON.parse(Buffer.from(bytes).toString()) as { certificateRequest: string };
  const body = (pem: string) => Buffer.from(pem.replace(/-----.*-----/g, ''), 'base64').subarray(3, 120);
  assert.deepEqual(body(csr(request).certificateRequest), body(csr(again).certificateRequest));
  await bed.start();
  const waiting = await keyOf('ca-operational-2');
  assert.deepEqual([waiting.purpose, waiting.activatedAt, waiting.originatorEnd], ['operational-ca', null, null]);
  await assert.rejects(crl('operational.2'), { code: 'issuer.unknown', field: 'issuer' });
  await assert.rejects(
    bed.client.signOcsp({ issuer: 'operational.2', responses: [{ certId: new Uint8Array(40), status: 'unknown' }] }),
    {
      code: 'issuer.unknown',
    },
  );
});

test('TEST-KEY-22 a CA goes on with a new key, and the old one goes on to answer for what it issued, as openssl sees it', async () => {
  await bed.stop();
  await ceremonies.intermediate('successor', { ca: 'operational', key: 'successor' });
  const { layout } = bed.rehearsal;
  const unchanged = readFileSync(pinsPath(layout));
  // Only the keystore says whether the new key is keyd's own.
  await assert.rejects(importLater(layout, bed.clock, { from: ceremonies.latest }), { code: 'bundle.key-needed' });
  assert.deepEqual(readFileSync(pinsPath(layout)), unchanged);
  const pins = await ceremonies.take();
  assert.deepEqual([pins.generations, pins.former.map(({ issuer }) => issuer)], [{ operational: 2 }, ['operational']]);
  assert.deepEqual(pins.revoked, []);

  const second = await bed.enrol('KS-0001', first.certificate);
  assert.equal(first.issuer, 'operational');
  assert.equal(second.issuer, 'operational.2');
  const [old, fresh] = [await issuerOf('operational'), await issuerOf('operational.2')];
  const { root } = (await bed.client.trust()).certificates;
  assert.ok(root);
  const urls = readCertificate(second.certificate);
  assert.match(Buffer.from(urls.der).toString('latin1'), /\/crl\/operational\.2\.crl.*|\/ocsp\/operational\.2/);

  // Both CAs have one name: the right one is found by its key.
  const cas = ceremonies.pem('cas', old, fresh);
  const anchor = ceremonies.pem('root', root);
  const [gone, kept] = [await crl('operational', [first.serial]), await crl('operational.2')];
  const lists = ceremonies.crlPem('both', gone.crl, kept.crl);
  const args = ['-crl_check', '-CRLfile', lists, '-CAfile', anchor, '-untrusted', cas];
  assert.match(ceremonies.verify(...args, ceremonies.pem('second', second.certificate)), /: OK/);
  assert.throws(() => ceremonies.verify(...args, ceremonies.pem('first', first.certificate)), /certificate revoked/);
  assert.ok(readCrl(gone.crl).verify(old) && !readCrl(gone.crl).verify(fresh));
  assert.ok(readCrl(kept.crl).verify(fresh));

  assert.equal(await ocsp('operational', first.serial, 'revoked'), 'revoked');
  assert.equal(await ocsp('operational.2', second.serial), 'good');
  await assert.rejects(ocsp('operational.2', first.serial), { code: 'ocsp.never-issued' });
  await assert.rejects(ocsp('operational', second.serial), { code: 'ocsp.never-issued' });
});

test('TEST-KEY-25 the key that was succeeded is deactivated and its successor active, also after a restart; it can still be reported compromised', async () => {
  for (let round = 0; round < 2; round += 1) {
    const old = await keyOf('ca-operational');
    assert.deepEqual(
      old.changes.map(({ change, by }) => [change, by]),
      [['deactivate', 'ceremony:successor']],
    );
    const fresh = await keyOf('ca-operational-2');
    assert.ok(fresh.activatedAt !== null && fresh.activatedAt >= (old.activatedAt ?? 0));
    await bed.restart();
  }
  const { spkiSha256 } = await keyOf('ca-operational');
  const at = bed.clock.now();
  const draft = { spkiSha256, change: 'compromise', after: 0, reason: 'a disk was lost', at } as const;
  const order = await signKeyOrder(draft, 'ada', bed.people.ada.signer);
  await bed.client.changeKey({ order, requestId: 'compromise' });
  // Whoever has that key could make any LDevID, and would get one from the next key by it.
  await assert.rejects(bed.enrol('KS-0001', first.certificate), { code: 'requester.unproven' });
  await assert.rejects(ocsp('operational', first.serial), { code: 'key.use-forbidden' });
  await bed.restart();
  await assert.rejects(bed.enrol('KS-0001', first.certificate), { code: 'requester.unproven' });
  assert.equal((await bed.enrol('KS-0001', idevid)).issuer, 'operational.2');
});

test('TEST-KEY-22 a CA whose key the root has revoked goes on with a successor; a CA with several keys is revoked by number', async () => {
  const second = await bed.enrol('KS-0001', idevid);
  const reason = 'cACompromise' as const;
  await assert.rejects(ceremonies.crl('unclear', { ca: 'operational', reason }), {
    code: 'ceremony.generation-unclear',
  });
  await assert.rejects(ceremonies.crl('none', { ca: 'operational.3', reason }), { code: 'issuer.unknown' });
  await ceremonies.crl('revoked', { ca: 'operational.2', reason });
  const { revoked } = await ceremonies.take();
  assert.deepEqual(revoked, ['operational.2']);
  await assert.rejects(bed.enrol('KS-0001', idevid), { code: 'ca.revoked' });
  await bed.stop();
  await ceremonies.intermediate('third', { ca: 'operational', key: 'successor' });
  const pins = await ceremonies.take();
  assert.deepEqual([pins.generations, pins.revoked], [{ operational: 3 }, ['operational.2']]);
  const third = await bed.enrol('KS-0001', idevid);
  assert.equal(third.issuer, 'operational.3');
  await assert.rejects(bed.enrol('KS-0001', second.certificate), { code: 'requester.unproven' });
  const { crl: list } = await crl('operational.2', [second.serial]);
  assert.ok(readCrl(list).verify(await issuerOf('operational.2')));
  assert.equal(await ocsp('operational.2', second.serial, 'revoked'), 'revoked');
  const { root } = (await bed.client.trust()).certificates;
  assert.ok(root);
  const anchor = ceremonies.pem('root', root);
  const roots = ceremonies.crlPem('root', ceremonies.bundle().crls.root);
  const check = (...more: string[]) => ceremonies.verify('-crl_check', '-CRLfile', roots, '-CAfile', anchor, ...more);
  assert.throws(() => check(join(ceremonies.dirs[1] ?? '', 'operational.pem')), /certificate revoked/);
  assert.match(check(join(ceremonies.latest, 'operational.pem')), /: OK/);
});

test('with a new key of the server CA the evidence key gets its certificate by that one, and records of before verify as before', async () => {
  const before_ = (await bed.client.trust()).evidenceSigner;
  await bed.stop();
  await ceremonies.intermediate('server', { ca: 'server', key: 'successor' });
  const pins = await ceremonies.take();
  const { evidenceSigner, certificates } = await bed.client.trust();
  const { root, server } = certificates;
  assert.ok(root && server);
  assert.notDeepEqual(evidenceSigner, before_);
  assert.equal(readCertificate(evidenceSigner).spkiSha256, readCertificate(before_).spkiSha256);
  assert.equal(checkPath(evidenceSigner, [server], [root], { now: bed.clock.now() }).ok, true);
  const { layout } = bed.rehearsal;
  const former = join(layout.trust, 'evidence-signer-1.pem');
  assert.deepEqual(certificateOf(readFileSync(former, 'latin1'), former), before_);
  assert.deepEqual(
    pins.formerEvidence.map(({ generation }) => generation),
    [1],
  );
  assert.equal(await ocsp('server', readCertificate(before_).serial), 'good');
  assert.equal(await ocsp('server.2', readCertificate(evidenceSigner).serial), 'good');
  const hosted = await bed.client.issue({
    profile: 'tls-server',
    csr: await csrFor('host.example'),
    requester: { kind: 'system', id: 'serve' },
    hosts: ['host.example'],
    requestId: 'host',
  });
  assert.equal(hosted.issuer, 'server.2');
  // What anybody changed in trust/ is refused, also of earlier keys.
  await bed.stop();
  const good = readFileSync(former);
  writeFileSync(former, readFileSync(join(layout.trust, 'server.pem')));
  await assert.rejects(bed.start(), { code: 'bundle.altered', field: former });
  writeFileSync(former, good);
  loadHierarchy(layout);
  await bed.start();
});

test('TEST-KEY-13 a device whose IDevID a later key of the factory CA issued gets nothing by an authorisation once that is revoked', async () => {
  await bed.stop();
  await ceremonies.intermediate('factory', { ca: 'manufacturing', key: 'successor' });
  await ceremonies.take();
  const { issuer, serial } = await bed.provision('KS-0007', await bed.ticket({ id: 'batch-2' }));
  assert.equal(issuer, 'manufacturing.2');
  const whole = (ms: number): string => `${new Date(bed.clock.now().getTime() + ms).toISOString().slice(0, 19)}Z`;
  const draft = {
    id: 'old-pump',
    profile: 'ldevid',
    deviceIds: { prefix: 'KS-', from: 7, to: 7, width: 4 },
    uses: 5,
    notBefore: whole(-60_000),
    notAfter: whole(3_600_000),
    ways: ['est' as const],
    approval: false,
  };
  const authorisation = await signAuthorisation(draft, 'ada', bed.people.ada.signer);
  const ask = async () =>
    bed.client.issue({
      profile: 'ldevid',
      csr: await csrFor('KS-0007'),
      requester: { kind: 'authorised', id: 'old-pump', authorisation, deviceId: 'KS-0007' },
      requestId: 'authorised',
    });
  await ask();
  await crl('manufacturing.2', [serial]);
  await assert.rejects(ask(), { code: 'requester.revoked' });
});

test('a key of a CA whose certificate has ended answers no more, and the others go on', async () => {
  const end = readCertificate(await issuerOf('operational.2')).notAfter;
  bed.clock.set(new Date(end.getTime() + 1000));
  await assert.rejects(crl('operational.2'), { code: 'key.cryptoperiod-ended', field: 'ca-operational-2' });
  await crl('operational.3');
});
