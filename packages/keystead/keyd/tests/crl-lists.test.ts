import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, type Serial, toPem } from '@keystead/core/bytes';
import { shardIndex } from '@keystead/core/lifecycle';
import { newSerial, readCertificate, readCrl } from '@keystead/core/x509';
import type { Result } from '../../keyd-client/index.ts';
import { KeydBed } from './bed.ts';
import { releaseOf, signedBy } from './release.ts';

const URLS = { crl: 'http://crl.example/{ca}.crl' };
const SHARDS = 4;

let bed: KeydBed;
let dir: string;
let trust: Result<'trust'>;
let idevid: DerCertificate;
let number = 0;

before(async () => {
  bed = await KeydBed.make({
    urls: URLS,
    revocation: {
      crlSeconds: 3600,
      lists: { shards: SHARDS, delta: { seconds: 600, refreshSeconds: 300 } },
      authority: [{ selectors: ['device'], acts: ['release'], approvals: 1, roles: ['policy-administrator'] }],
    },
  });
  dir = bed.rehearsal.dir;
  trust = await bed.client.trust();
  idevid = (await bed.provision('KS-0001', await bed.ticket())).certificate;
  writeFileSync(join(dir, 'op.pem'), toPem('CERTIFICATE', trust.certificates.operational as DerCertificate));
  const chain = ['root', 'operational'].map((ca) =>
    toPem('CERTIFICATE', trust.certificates[ca as 'root'] as DerCertificate),
  );
  writeFileSync(join(dir, 'chain.pem'), chain.join(''));
});
after(() => bed.remove());

type Asked = Omit<Parameters<KeydBed['client']['signCrl']>[0], 'issuer' | 'number' | 'entries'>;
type Entries = Parameters<KeydBed['client']['signCrl']>[0]['entries'];

async function sign(entries: Entries = [], more: Asked = {}) {
  number = Math.max(number, (await bed.client.status()).crlNumbers.operational ?? 0) + 1;
  return bed.client.signCrl({ issuer: 'operational', number, entries, ...more });
}
const derOf = ({ crl, file }: { crl: Uint8Array; file?: string }): Uint8Array =>
  file === undefined ? crl : readFileSync(bed.client.crlFile(file));
const revoked = (serial: Serial, reason: 'superseded' | 'certificateHold' = 'superseded') => ({
  serial,
  revokedAt: bed.clock.now(),
  reason,
});
const enrolled = async (): Promise<{ serial: Serial; certificate: DerCertificate }> => bed.enrol('KS-0001', idevid);

/** A CRL as openssl prints it, verified. */
function printed(der: Uint8Array): string {
  writeFileSync(join(dir, 'list.crl'), der);
  const args = ['crl', '-inform', 'DER', '-in', 'list.crl', '-CAfile', 'op.pem', '-noout', '-text'];
  const { stdout, stderr } = spawnSync('openssl', args, { cwd: dir, encoding: 'utf8' });
  assert.match(stderr, /verify OK/);
  return stdout;
}
const serialsIn = (text: string): string[] =>
  [...text.matchAll(/Serial Number: ([0-9A-F]+)/g)].map(([, hex]) => `${hex}`.toLowerCase());

/** What openssl says of a certificate by these CRLs of its issuer. */
function verdict(certificate: DerCertificate, crls: readonly Uint8Array[], ...options: string[]): string {
  writeFileSync(join(dir, 'leaf.pem'), toPem('CERTIFICATE', certificate));
  writeFileSync(join(dir, 'crls.pem'), crls.map((der) => toPem('X509 CRL', der)).join(''));
  const at = String(Math.floor(bed.clock.now().getTime() / 1000));
  const args = [
    'verify',
    '-attime',
    at,
    '-crl_check',
    '-CAfile',
    'chain.pem',
    '-CRLfile',
    'crls.pem',
    ...options,
    'leaf.pem',
  ];
  const { stdout, stderr } = spawnSync('openssl', args, { cwd: dir, encoding: 'utf8' });
  return stdout + stderr;
}

test('TEST-KEY-08 a delta CRL brings a full one up to date for openssl: revoked since, held since, released since [openssl: CRL delta]', async () => {
  const [gone, held, kept] = [await enrolled(), await enrolled(), await enrolled()];
  const first = derOf(await sign([revoked(held.serial, 'certificateHold')]));
  assert.match(printed(first), /X509v3 Freshest CRL:[\s\S]*http:\/\/crl\.example\/operational-delta\.crl/);
  const plain = await bed.client.status();
  assert.deepEqual(plain.crlShards.operational, [SHARDS]);
  bed.clock.advance(60);
  await bed.client.releaseHold({
    statements: [await signedBy(bed, 'ada', releaseOf([{ issuer: 'operational', serial: held.serial }]))],
    certificates: [{ issuer: 'operational', serial: held.serial }],
    requestId: 'release',
  });
  const delta = await sign([revoked(gone.serial)], { deltaOnly: true });
  const text = printed(derOf(delta));
  assert.match(
    text,
    new RegExp(`X509v3 Delta CRL Indicator: critical\\s+0?${(readCrl(first).number).toString(16)}`, 'i'),
  );
  assert.match(text, /Remove From CRL/);
  assert.deepEqual(serialsIn(text).sort(), [gone.serial, held.serial].sort());
  assert.equal(delta.nextUpdate.getTime() - delta.thisUpdate.getTime(), 600_000);
  // The certificates are of partitions; by the full list of all, openssl needs to be told nothing more.
  const shardList = async (serial: Serial, more: Asked = {}) =>
    sign([], { shard: { index: shardIndex(serial, SHARDS), of: SHARDS }, ...more });
  for (const { serial, certificate } of [gone, held, kept]) {
    const list = await shardList(serial);
    const refused = serial === gone.serial;
    for (const crls of [[derOf(list)], [first, derOf(delta)]])
      assert.match(verdict(certificate, crls, '-use_deltas'), refused ? /certificate revoked/ : /leaf\.pem: OK/);
  }
  assert.match(verdict(held.certificate, [first]), /certificate revoked/, 'without the delta it is on hold');
});

test('TEST-KEY-08 a full CRL and the delta CRL that is made with it have one number and say the same; a base that has not ended is served for', async () => {
  const one = await enrolled();
  const full = await sign([revoked(one.serial)]);
  assert.equal(full.delta?.number, full.number);
  assert.deepEqual(full.delta?.thisUpdate, full.thisUpdate);
  const other = await enrolled();
  bed.clock.advance(1800);
  const next = await sign([revoked(other.serial)]);
  // Whoever has any full CRL of the last hour can use this delta CRL.
  const text = printed(derOf(next.delta ?? next));
  for (const { serial } of [one, other]) assert.ok(serialsIn(text).includes(serial));
  bed.clock.advance(3601);
  const alone = await sign();
  assert.equal(serialsIn(printed(derOf(alone.delta ?? alone))).length, 0);
  assert.match(
    printed(derOf(alone.delta ?? alone)),
    new RegExp(`Delta CRL Indicator: critical\\s+0?${alone.number.toString(16)}`, 'i'),
  );
});

test('TEST-KEY-08 a partition lists its own serial numbers and no others, under the name that stands in their certificates [openssl: CRL partitioned]', async () => {
  const some = await Promise.all(Array.from({ length: 12 }, enrolled));
  await bed.client.listRevocations({ issuer: 'operational', entries: some.map(({ serial }) => revoked(serial)) });
  for (let index = 0; index < SHARDS; index += 1) {
    const list = await sign([], { shard: { index, of: SHARDS } });
    const text = printed(derOf(list));
    assert.match(text, /X509v3 Issuing Distribution Point: critical/);
    for (const { serial, certificate } of some) {
      const mine = shardIndex(serial, SHARDS) === index;
      assert.equal(serialsIn(text).includes(serial), mine);
      if (!mine) continue;
      const url = `http://crl.example/operational-${index}-of-${SHARDS}.crl`;
      assert.deepEqual(readCertificate(certificate).crlUrls, [url]);
      assert.ok(text.includes(url));
      assert.match(verdict(certificate, [derOf(list)]), /certificate revoked/);
    }
    const stranger = some.find(({ serial }) => shardIndex(serial, SHARDS) !== index);
    if (stranger !== undefined)
      assert.match(
        verdict(stranger.certificate, [derOf(list)]),
        /unable to get certificate CRL|[Dd]ifferent CRL scope/,
      );
  }
});

test('certtool reads delta CRLs and partitions; strongSwan reads a full one [GnuTLS certtool: CRL delta, CRL partitioned]', async () => {
  const { certificate, serial } = await enrolled();
  const full = await sign([revoked(serial)]);
  for (const der of [derOf(full.delta ?? full), derOf(await sign([], { shard: { index: 0, of: SHARDS } }))]) {
    writeFileSync(join(dir, 'some.crl'), der);
    const info = execFileSync('certtool', ['--crl-info', '--inder', '--infile', 'some.crl'], {
      cwd: dir,
      encoding: 'utf8',
    });
    assert.match(info, /CRL Number/);
  }
  writeFileSync(join(dir, 'leaf.pem'), toPem('CERTIFICATE', certificate));
  writeFileSync(join(dir, 'full.crl'), derOf(full));
  const shown = spawnSync('pki', ['--print', '--type', 'crl', '--in', 'full.crl'], { cwd: dir, encoding: 'utf8' });
  assert.match(shown.stdout.replace(/[:\s]/g, ''), new RegExp(serial, 'i'));
});

test('TEST-KEY-13 what the policy does not have is not signed: partitions of another number, partitions beyond, a delta CRL without a base', async () => {
  await assert.rejects(sign([], { shard: { index: 0, of: 8 } }), { code: 'crl.shard-unknown' });
  const hostile = await bed.hostile();
  for (const shard of [
    { index: 4, of: 4 },
    { index: -1, of: 4 },
    { index: 0, of: 65 },
    { index: 0, of: 1 },
    { index: 0.5, of: 4 },
  ]) {
    const params = { issuer: 'operational', number: number + 1, entries: [], shard };
    assert.equal((await hostile.ask('signCrl', params)).error?.code, 'request.malformed');
  }
  const params = { issuer: 'server', number: 1, entries: [], deltaOnly: true };
  assert.equal((await hostile.ask('signCrl', params)).error?.code, 'crl.delta-forbidden');
  assert.equal((await bed.client.status()).crlNumbers.server, undefined, 'no number is lost by it');
  hostile.end();
});

test('TEST-KEY-08 numbers, lists and bases of delta CRLs are the same after a restart', async () => {
  const { serial } = await enrolled();
  const before = await sign([revoked(serial)]);
  await bed.restart();
  bed.clock.advance(1);
  assert.equal((await bed.client.status()).crlNumbers.operational, before.number);
  await assert.rejects(bed.client.signCrl({ issuer: 'operational', number: before.number, entries: [] }), {
    code: 'crl.number-used',
  });
  const after_ = await sign([], { deltaOnly: true });
  const [base] = /Delta CRL Indicator: critical\s+[0-9A-F]+/i.exec(printed(derOf(after_))) ?? [];
  const [was] = /Delta CRL Indicator: critical\s+[0-9A-F]+/i.exec(printed(derOf(before.delta ?? before))) ?? [];
  assert.equal(base, was);
});

test('a CRL that is too long for an answer is a file beside the socket, which the next one of that list replaces', async () => {
  const entries = Array.from({ length: 3000 }, () => revoked(newSerial()));
  const first = await sign(entries);
  assert.equal(first.crl.length, 0);
  assert.equal(first.file, 'operational.crl');
  assert.ok(serialsIn(printed(derOf(first))).includes(entries[17]?.serial ?? ''));
  assert.equal(derOf(first).length, first.bytes);
  const next = await sign();
  assert.notEqual(next.sha256, first.sha256);
  assert.equal(readCrl(derOf(next)).number, next.number);
  const path = bed.client.crlFile('operational.crl');
  await bed.restart();
  assert.ok(!existsSync(path), 'what was not fetched before a restart is made anew');
});
