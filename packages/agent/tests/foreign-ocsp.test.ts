import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { toPem } from '@keystead/core/bytes';
import { readCertificate } from '@keystead/core/x509';
import { makeKeyAndCsr, OcspClient } from '../index.ts';
import { deviceCertificate, Fleet } from './fleet.ts';
import { pkcs8Of } from './test-ca.ts';

const clock = { now: () => new Date() };
const fleet = new Fleet(new Date());

test('openssl verifies the request that a device makes, and prints its name', async () => {
  const { csr, pkcs8 } = await makeKeyAndCsr('pump-1', 'P-256');
  pkcs8.wipe();
  const work = mkdtempSync(join(tmpdir(), 'keystead-csr-'));
  try {
    writeFileSync(join(work, 'csr.der'), csr);
    const options = ['req', '-inform', 'DER', '-in', join(work, 'csr.der'), '-verify', '-noout', '-text'];
    const text = execFileSync('openssl', options, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
    assert.match(text, /Subject: CN = pump-1, serialNumber = pump-1/);
    assert.match(text, /URI:urn:keystead:device:pump-1/);
    assert.match(text, /NIST CURVE: P-256/);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});

test('the answers of the openssl OCSP responder are understood: good, revoked with its reason, unknown', async () => {
  const work = mkdtempSync(join(tmpdir(), 'keystead-ocsp-'));
  const ca = fleet.operational;
  const issue = async (deviceId: string) => {
    const [certificate] = deviceCertificate(fleet, 'ldevid', (await makeKeyAndCsr(deviceId, 'P-256')).csr);
    assert.ok(certificate);
    return certificate;
  };
  const [good, revoked, unknown] = await Promise.all(['pump-1', 'pump-2', 'pump-3'].map(issue));
  assert.ok(good && revoked && unknown);
  const serial = (der: Uint8Array): string => readCertificate(der).serial.toUpperCase();
  const index = [
    ['V', '300101000000Z', '', serial(good), 'unknown', '/CN=pump-1'],
    ['R', '300101000000Z', '260101000000Z,keyCompromise', serial(revoked), 'unknown', '/CN=pump-2'],
  ];
  writeFileSync(join(work, 'index.txt'), index.map((fields) => `${fields.join('\t')}\n`).join(''));
  writeFileSync(join(work, 'ca.pem'), toPem('CERTIFICATE', ca.certificate));
  writeFileSync(join(work, 'ca.key'), toPem('PRIVATE KEY', pkcs8Of(ca.key.privateKey)), { mode: 0o600 });
  const file = (name: string): string => join(work, name);
  const responder = spawn(
    'openssl',
    [
      'ocsp',
      '-port',
      '0',
      '-index',
      file('index.txt'),
      '-CA',
      file('ca.pem'),
      '-rsigner',
      file('ca.pem'),
      '-rkey',
      file('ca.key'),
      '-nmin',
      '5',
    ],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  try {
    const lines = createInterface(responder.stdout);
    let port: string | undefined;
    while (port === undefined) port = /^ACCEPT \S*:(\d+)/.exec(String((await once(lines, 'line'))[0]))?.[1];
    const url = `http://127.0.0.1:${port}/`;
    const client = new OcspClient({ clock, responderOf: () => url });
    assert.deepEqual(await client.status(good, ca.certificate), { status: 'good' });
    const answer = await client.status(revoked, ca.certificate);
    assert.ok(answer.status === 'revoked' && answer.reason === 'keyCompromise', JSON.stringify(answer));
    assert.equal(answer.revokedAt.toISOString(), '2026-01-01T00:00:00.000Z');
    assert.deepEqual(await client.status(unknown, ca.certificate), { status: 'unknown' });
    client.close();
  } finally {
    responder.kill();
    rmSync(work, { recursive: true, force: true });
  }
});
