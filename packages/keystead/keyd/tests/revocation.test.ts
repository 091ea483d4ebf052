import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { type DerCertificate, type Serial, toPem } from '@keystead/core/bytes';
import {
  newSerial,
  OcspIssuer,
  parseOcspResponse,
  readCertificate,
  readCrl,
  readOcspResponse,
} from '@keystead/core/x509';
import type { Result } from '../../keyd-client/index.ts';
import { KeydBed } from './bed.ts';

let bed: KeydBed;
let dir: string;
let trust: Result<'trust'>;
let unit: Result<'provision'>;
before(async () => {
  bed = await KeydBed.make();
  // openssl ocsp compares the times of an answer with the machine's clock.
  bed.clock.set(new Date());
  dir = mkdtempSync(join(tmpdir(), 'keystead-revocation-'));
  trust = await bed.client.trust();
  unit = await bed.provision('KS-0001', await bed.ticket());
});
after(async () => {
  await bed.remove();
  rmSync(dir, { recursive: true, force: true });
});

const now = () => bed.clock.now();
const issuerOf = (role: 'manufacturing' | 'operational') => new OcspIssuer(trust.certificates[role] as DerCertificate);

async function ask(
  serial: Serial,
  status: 'good' | 'unknown' = 'good',
  issuer: 'manufacturing' | 'operational' = 'operational',
) {
  return bed.client.signOcsp({ issuer, responses: [{ certId: issuerOf(issuer).certId(serial), status }] });
}

test('an OCSP answer is signed by a short-lived responder of that CA, with the times of the policy, and openssl believes it', async () => {
  const { certificate, serial } = await bed.enrol('KS-0001', unit.certificate);
  const { response, thisUpdate, nextUpdate } = await ask(serial);
  assert.equal((nextUpdate.getTime() - thisUpdate.getTime()) / 1000, bed.policy.revocation.ocspSeconds);
  const issuer = trust.certificates.operational as DerCertificate;
  assert.equal(readOcspResponse(response, { issuer, serial, now: now() }).status, 'good');
  const files = {
    root: toPem('CERTIFICATE', trust.certificates.root as DerCertificate),
    issuer: toPem('CERTIFICATE', issuer),
    leaf: toPem('CERTIFICATE', certificate),
  };
  for (const [name, pem] of Object.entries(files)) writeFileSync(join(dir, `${name}.pem`), pem);
  writeFileSync(join(dir, 'response.der'), response);
  const at = String(Math.floor(now().getTime() / 1000) + 1);
  // The digest of the CertID must stand before the certificate that it is for.
  const args = ['ocsp', '-respin', 'response.der', '-issuer', 'issuer.pem', '-sha256', '-cert', 'leaf.pem'];
  const out = execFileSync('openssl', [...args, '-CAfile', 'root.pem', '-attime', at, '-no_nonce'], {
    cwd: dir,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
  assert.match(out, /leaf\.pem: good/);
});

test('the responder is renewed ahead of its end, and its certificate outlives every answer that it signed', async () => {
  const { ocspSeconds } = bed.policy.revocation;
  const responders = new Set<string>();
  for (let hour = 0; hour < 30; hour += 1) {
    const { response } = await ask('0a0b0c0d0e0f1011' as Serial, 'unknown');
    const [certificate] = parseOcspResponse(response).certs;
    assert.ok(certificate);
    const info = readCertificate(certificate);
    responders.add(info.serial);
    assert.ok(info.notAfter.getTime() >= now().getTime() + ocspSeconds * 1000);
    assert.ok(info.notBefore <= now());
    bed.clock.advance(3600);
  }
  assert.ok(responders.size >= 3 && responders.size <= 5, `${responders.size} responders in 30 hours of 12 each`);
});

test('TEST-KEY-13 keyd signs no answer for another CA, no status with the times of a caller, and nothing that is no CertID', async () => {
  const serial = unit.serial;
  const wrong = issuerOf('manufacturing').certId(serial);
  const sign = (responses: Parameters<KeydBed['client']['signOcsp']>[0]['responses']) =>
    bed.client.signOcsp({ issuer: 'operational', responses });
  await assert.rejects(sign([{ certId: wrong, status: 'good' }]), { code: 'ocsp.issuer-differs' });
  await assert.rejects(sign([{ certId: wrong, status: 'revoked', revokedAt: now() }]), { code: 'ocsp.issuer-differs' });
  await assert.rejects(sign([{ certId: Buffer.from('anything'), status: 'good' }]), { code: 'ocsp.malformed' });
  // Asked for beside one of its own, it is unknown, as the responder's answer says it (RFC 6960 section 2.2).
  await sign([{ certId: wrong, status: 'unknown' }]);
  const ours = await bed.enrol('KS-0001', unit.certificate);
  const certId = issuerOf('operational').certId(ours.serial);
  const late = new Date(now().getTime() + 60_000);
  await assert.rejects(sign([{ certId, status: 'revoked' }]), { code: 'revocation.malformed' });
  await assert.rejects(sign([{ certId, status: 'revoked', revokedAt: late }]), { code: 'revocation.malformed' });
  await assert.rejects(sign([{ certId, status: 'good', revokedAt: now() }]), { code: 'revocation.malformed' });
  const hostile = await bed.hostile();
  const { error } = await hostile.ask('signOcsp', { issuer: 'root', responses: [{ certId: '', status: 'good' }] });
  assert.equal(error?.code, 'request.malformed');
  // RFC 9654 section 2.1: 1 to 128 octets.
  const responses = [{ certId: Buffer.from(certId).toString('base64'), status: 'good' }];
  const nonceless = await hostile.ask('signOcsp', { issuer: 'operational', responses, nonce: '' });
  assert.equal(nonceless.error?.field, 'nonce');
  hostile.end();
});

test('TEST-KEY-09 TEST-KEY-13 keyd itself never says good of a serial number that it did not issue, nor of one of another CA', async () => {
  const { serial } = await bed.enrol('KS-0001', unit.certificate);
  const signer = readCertificate(trust.evidenceSigner);
  const server = new OcspIssuer(trust.certificates.server as DerCertificate);
  for (let start = 0; start < 2; start += 1) {
    await ask(serial);
    await ask(unit.serial, 'good', 'manufacturing');
    // Made before there was a journal.
    await bed.client.signOcsp({
      issuer: 'server',
      responses: [{ certId: server.certId(signer.serial), status: 'good' }],
    });
    const neighbour = `${serial.slice(0, -2)}${serial.endsWith('00') ? '01' : '00'}` as Serial;
    for (const strange of [newSerial(), neighbour, unit.serial, '01' as Serial]) {
      await assert.rejects(ask(strange), { code: 'ocsp.never-issued' });
      await ask(strange, 'unknown');
    }
    await bed.restart();
  }
});

test('a CRL has what is revoked, the times of the policy and a higher number each time, and openssl verifies it', async () => {
  const { crl } = await bed.client.signCrl({
    issuer: 'operational',
    number: 1,
    entries: [{ serial: 'aa01' as Serial, revokedAt: now(), reason: 'keyCompromise' }],
  });
  writeFileSync(join(dir, 'crl.der'), crl);
  writeFileSync(join(dir, 'issuer.pem'), toPem('CERTIFICATE', trust.certificates.operational as DerCertificate));
  const out = execFileSync(
    'openssl',
    ['crl', '-inform', 'DER', '-in', 'crl.der', '-CAfile', 'issuer.pem', '-noout', '-text'],
    {
      cwd: dir,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  assert.match(out, /Serial Number: AA01/);
  const info = readCrl(crl);
  assert.equal(
    ((info.nextUpdate?.getTime() ?? 0) - info.thisUpdate.getTime()) / 1000,
    bed.policy.revocation.crlSeconds,
  );
  for (const number of [1, 0]) {
    await assert.rejects(
      bed.client.signCrl({ issuer: 'operational', number, entries: [] }),
      (error: { code?: string }) => error.code === 'crl.number-used' || error.code === 'request.malformed',
    );
  }
});

test('TEST-KEY-13 a compromised front end cannot take a revocation back: not by leaving it out, nor by OCSP, nor by a restart', async () => {
  const { serial, certificate } = await bed.enrol('KS-0001', unit.certificate);
  const entry = { serial, revokedAt: now(), reason: 'keyCompromise' as const };
  await bed.client.signCrl({ issuer: 'operational', number: 10, entries: [entry] });
  for (const number of [11, 12]) {
    const { crl } = await bed.client.signCrl({ issuer: 'operational', number, entries: [] });
    assert.equal(readCrl(crl).entries.get(serial)?.reason, 'keyCompromise');
    await assert.rejects(ask(serial), { code: 'revocation.undone' });
    await assert.rejects(ask(serial, 'unknown'), { code: 'revocation.undone' });
    await assert.rejects(bed.enrol('KS-0001', certificate), { code: 'requester.revoked' });
    await bed.restart();
  }
  const later = new Date(now().getTime() - 1000);
  const { crl } = await bed.client.signCrl({
    issuer: 'operational',
    number: 13,
    entries: [{ serial, revokedAt: later, reason: 'superseded' }],
  });
  assert.equal(readCrl(crl).entries.get(serial)?.reason, 'keyCompromise');
});

test('TEST-KEY-13 a compromised front end cannot use the numbers of CRLs up, which would end all CRLs for good', async () => {
  const before = (await bed.client.status()).crlNumbers.operational ?? 0;
  for (const number of [Number.MAX_SAFE_INTEGER, before + 1_000_001]) {
    await assert.rejects(bed.client.signCrl({ issuer: 'operational', number, entries: [] }), {
      code: 'crl.number-skips',
    });
  }
  assert.equal((await bed.client.status()).crlNumbers.operational, before);
  await bed.client.signCrl({ issuer: 'operational', number: before + 1, entries: [] });
});

test('a short-lived certificate leaves the list when it and every other of its time have ended; an IDevID never does', async () => {
  const entries = [{ serial: 'cc03' as Serial, revokedAt: now() }];
  await bed.client.signCrl({ issuer: 'operational', number: 20, entries });
  await bed.client.signCrl({ issuer: 'manufacturing', number: 20, entries });
  const lives = bed.policy.profiles.flatMap(({ issuer, validity }) =>
    issuer === 'operational' ? [validity.seconds] : [],
  );
  bed.clock.advance(Math.max(...lives.map(Number)) + bed.policy.revocation.crlSeconds + 1);
  const operational = await bed.client.signCrl({ issuer: 'operational', number: 21, entries: [] });
  assert.equal(readCrl(operational.crl).entries.size, 0);
  const manufacturing = await bed.client.signCrl({ issuer: 'manufacturing', number: 21, entries: [] });
  assert.equal(readCrl(manufacturing.crl).entries.size, 1);
});

test('TEST-KEY-13 entries that no CRL can carry are refused and leave nothing behind that would stop the next CRL', async () => {
  const hostile = await bed.hostile();
  const entry = (serial: string, revokedAt: string) => ({
    issuer: 'operator',
    number: 1,
    entries: [{ serial, revokedAt }],
  });
  for (const params of [
    entry('00aa', '2026-01-01T00:00:00Z'),
    entry('AA', '2026-01-01T00:00:00Z'),
    entry('', '2026-01-01T00:00:00Z'),
    entry('aa'.repeat(21), '2026-01-01T00:00:00Z'),
    entry('aa', '0001-01-01T00:00:00Z'),
    entry('aa', '9999-12-31T23:59:59Z'),
    entry('aa', 'yesterday'),
  ]) {
    const { error } = await hostile.ask('signCrl', params);
    assert.match(error?.code ?? '', /^(request\.malformed|revocation\.malformed)$/);
  }
  hostile.end();
  await bed.client.signCrl({ issuer: 'operator', number: 1, entries: [] });
  await bed.restart();
});
