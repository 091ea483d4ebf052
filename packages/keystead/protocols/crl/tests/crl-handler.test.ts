import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import type { Serial } from '@keystead/core/bytes';
import { SimulatedClock } from '@keystead/core/clock';
import { assembleSigned, readCrl, tbsCertList } from '@keystead/core/x509';
import { CA_EXTENSIONS, OpensslPki } from '../../../../core/x509/tests/openssl-pki.ts';
import { CrlDirectory, createCrlHandler } from '../index.ts';
import { readRange } from '../range.ts';

const pki = new OpensslPki();
const ca = pki.issue({ name: 'ca', extensions: CA_EXTENSIONS });
const clock = new SimulatedClock(new Date(Math.floor(Date.now() / 1000) * 1000));
const crls = new CrlDirectory(pki.dir, clock);
const failures: unknown[] = [];
const handler = createCrlHandler({ crls, clock, onFailure: (error) => failures.push(error) });
const server = createServer((request, response) => {
  if (!handler.handle(request, response)) response.writeHead(418).end();
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/crl`;
after(() => {
  server.closeAllConnections();
  server.close();
  pki.remove();
});

let number = 0;
/** Makes the next CRL and puts it in the place of the last, as the authority does. */
async function publish(...revoked: string[]): Promise<Uint8Array> {
  number += 1;
  const signer = pki.signer('ca');
  const tbs = tbsCertList({
    issuer: ca,
    signatureAlgorithm: signer.signatureAlgorithm,
    thisUpdate: clock.now(),
    nextUpdate: new Date(clock.now().getTime() + 3_600_000),
    number,
    entries: revoked.map((serial) => ({ serial: serial as Serial, revokedAt: clock.now() })),
  });
  const crl = assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs));
  writeFileSync(join(pki.dir, 'new.crl'), crl);
  renameSync(join(pki.dir, 'new.crl'), join(pki.dir, 'operational.crl'));
  crls.published('operational');
  return crl;
}
const fetchCrl = (headers: Record<string, string> = {}) => fetch(`${url}/operational.crl`, { headers });
const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());

test('TEST-KEY-08: openssl fetches the CRL over HTTP and verifies it, and a revoked serial is in the next one', async () => {
  for (const revoked of [[], ['0a0b0c']]) {
    await publish(...revoked);
    await promisify(execFile)('curl', ['-sS', '--fail', '-o', 'fetched.crl', `${url}/operational.crl`], {
      cwd: pki.dir,
    });
    const seen = pki.try(
      'openssl',
      'crl',
      '-inform',
      'DER',
      '-in',
      'fetched.crl',
      '-CAfile',
      'ca.pem',
      '-noout',
      '-text',
    );
    assert.match(seen.output, /verify OK/);
    assert.match(seen.output, revoked.length === 0 ? /No Revoked Certificates/ : /Serial Number: 0A0B0C/);
  }
});

test('the CRL has its media type, its times and an entity tag by which it is not fetched twice', async () => {
  const crl = await publish('01');
  const whole = await fetchCrl();
  assert.equal(whole.headers.get('content-type'), 'application/pkix-crl');
  assert.equal(whole.headers.get('expires'), readCrl(crl).nextUpdate.toUTCString());
  assert.equal(whole.headers.get('last-modified'), readCrl(crl).thisUpdate.toUTCString());
  assert.equal(whole.headers.get('cache-control'), 'max-age=60,public,no-transform');
  assert.deepEqual(await bytesOf(whole), crl);
  const etag = whole.headers.get('etag') ?? '';
  assert.equal((await fetchCrl({ 'If-None-Match': etag })).status, 304);
  await publish('01', '02');
  const next = await fetchCrl({ 'If-None-Match': etag });
  assert.equal(next.status, 200);
  assert.equal(readCrl(await bytesOf(next)).entries.size, 2);
});

test('a broken download goes on where it stopped, unless the CRL is another one by now', async () => {
  const crl = await publish('03');
  const etag = (await fetchCrl()).headers.get('etag') ?? '';
  const rest = await fetchCrl({ Range: 'bytes=100-', 'If-Range': etag });
  assert.equal(rest.status, 206);
  assert.equal(rest.headers.get('content-range'), `bytes 100-${crl.length - 1}/${crl.length}`);
  assert.deepEqual(await bytesOf(rest), crl.slice(100));
  assert.deepEqual(await bytesOf(await fetchCrl({ Range: 'bytes=-10' })), crl.slice(-10));
  const outside = await fetchCrl({ Range: `bytes=${crl.length}-` });
  assert.equal(outside.status, 416);
  assert.equal(outside.headers.get('content-range'), `bytes */${crl.length}`);
  const newer = await publish('03', '04');
  const whole = await fetchCrl({ Range: 'bytes=100-', 'If-Range': etag });
  assert.equal(whole.status, 200);
  assert.deepEqual(await bytesOf(whole), newer);
});

test('ranges are read by RFC 9110 section 14.1.2', () => {
  assert.deepEqual(readRange('bytes=0-0', 10), { first: 0, last: 0 });
  assert.deepEqual(readRange('bytes=5-99', 10), { first: 5, last: 9 });
  assert.deepEqual(readRange('bytes=-99', 10), { first: 0, last: 9 });
  assert.equal(readRange('bytes=10-', 10), 'unsatisfiable');
  assert.equal(readRange('bytes=-0', 10), 'unsatisfiable');
  for (const header of [
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=5-4',
    'bytes=0-1,3-4',
    'lines=0-1',
    'bytes=a-b',
    `bytes=${'9'.repeat(40)}-`,
  ])
    assert.equal(readRange(header, 10), 'whole', header);
});

test('a file that another process replaced is served within a second', async () => {
  await publish('05');
  await fetchCrl();
  const signer = pki.signer('ca');
  const tbs = tbsCertList({
    issuer: ca,
    signatureAlgorithm: signer.signatureAlgorithm,
    thisUpdate: clock.now(),
    nextUpdate: clock.now(),
    number: 999,
    entries: [],
  });
  writeFileSync(join(pki.dir, 'new.crl'), assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs)));
  renameSync(join(pki.dir, 'new.crl'), join(pki.dir, 'operational.crl'));
  clock.advance(1);
  assert.equal(readCrl(await bytesOf(await fetchCrl())).number, 999);
  rmSync(join(pki.dir, 'operational.crl'));
  clock.advance(1);
  assert.equal((await fetchCrl()).status, 404);
});

test('other paths and methods are refused, and a file that is no CRL is not served', async () => {
  assert.equal((await fetch(`${url}/manufacturing.crl`)).status, 404);
  assert.equal((await fetch(`${url}/..%2fca.pem`)).status, 404);
  assert.equal((await fetch(`${url}/ca.key`)).status, 404);
  assert.equal((await fetch(`${url}/operational.crl`, { method: 'POST', body: 'x' })).status, 405);
  assert.equal((await fetch(url.replace('/crl', '/elsewhere'))).status, 418, 'left to others');
  writeFileSync(join(pki.dir, 'server.crl'), 'not a CRL');
  assert.equal((await fetch(`${url}/server.crl`)).status, 500);
  assert.equal(failures.length, 1);
});

/** More than a megabyte of DER. */
async function publishLong(list = 'operational'): Promise<Uint8Array> {
  number += 1;
  const signer = pki.signer('ca');
  const tbs = tbsCertList({
    issuer: ca,
    signatureAlgorithm: signer.signatureAlgorithm,
    thisUpdate: clock.now(),
    nextUpdate: new Date(clock.now().getTime() + 3_600_000),
    number,
    entries: Array.from({ length: 30_000 }, (_, i) => ({
      serial: `5a${(i + 0x1000000).toString(16).padStart(8, '0')}${'c3'.repeat(15)}` as Serial,
      revokedAt: clock.now(),
    })),
  });
  const crl = assembleSigned(tbs, signer.signatureAlgorithm, await signer.sign(tbs));
  writeFileSync(join(pki.dir, 'new.crl'), crl);
  renameSync(join(pki.dir, 'new.crl'), join(pki.dir, `${list}.crl`));
  crls.published('operational');
  return crl;
}

test('TEST-KEY-08: a long list comes from its file, whole and in parts, and a download that breaks off goes on with curl [curl: CRL range]', async () => {
  const crl = await publishLong();
  assert.ok(crl.length > 1024 * 1024);
  const whole = await fetchCrl();
  assert.deepEqual(await bytesOf(whole), crl);
  assert.equal(whole.headers.get('content-length'), String(crl.length));
  const etag = whole.headers.get('etag') ?? '';
  assert.equal((await fetchCrl({ 'If-None-Match': etag })).status, 304);
  const modified = whole.headers.get('last-modified') ?? '';
  assert.equal((await fetchCrl({ 'If-Modified-Since': modified })).status, 304);
  const part = await fetchCrl({ Range: 'bytes=1000000-1000099', 'If-Range': etag });
  assert.equal(part.status, 206);
  assert.deepEqual(await bytesOf(part), crl.subarray(1_000_000, 1_000_100));
  assert.equal((await fetch(`${url}/operational.crl`, { method: 'HEAD' })).headers.get('etag'), etag);
  writeFileSync(join(pki.dir, 'part.crl'), crl.subarray(0, 300_000));
  const args = ['-sS', '--fail', '--continue-at', '-', '-o', 'part.crl', `${url}/operational.crl`];
  await promisify(execFile)('curl', args, { cwd: pki.dir });
  assert.deepEqual(readFileSync(join(pki.dir, 'part.crl')), Buffer.from(crl));
  // Another list of the same length in its place: never a half of each.
  const next = await publishLong();
  const old = await fetchCrl({ Range: 'bytes=1000000-', 'If-Range': etag });
  assert.equal(old.status, 200);
  assert.deepEqual(await bytesOf(old), next);
});

test('TEST-KEY-08: openssl reads each list as PEM as well, long and short, and it is byte for byte what openssl writes [openssl: CRL PEM]', async () => {
  for (const make of [() => publish(), () => publish('0a0b0c'), () => publishLong()]) {
    const crl = await make();
    const answer = await fetch(`${url}/operational.pem`);
    const text = Buffer.from(await bytesOf(answer)).toString('latin1');
    assert.equal(answer.headers.get('content-length'), String(text.length));
    assert.notEqual(answer.headers.get('etag'), (await fetchCrl()).headers.get('etag'));
    writeFileSync(join(pki.dir, 'der.crl'), crl);
    pki.run('openssl', 'crl', '-inform', 'DER', '-in', 'der.crl', '-outform', 'PEM', '-out', 'openssl.pem');
    assert.equal(text, readFileSync(join(pki.dir, 'openssl.pem'), 'latin1'));
    const again = await fetch(`${url}/operational.pem`, {
      headers: { 'If-None-Match': answer.headers.get('etag') ?? '' },
    });
    assert.equal(again.status, 304);
  }
});

test('partitions and delta CRLs have their own addresses; what is no name of a list is not looked for', async () => {
  const crl = await publishLong('operational-2-of-4-delta');
  assert.deepEqual(await bytesOf(await fetch(`${url}/operational-2-of-4-delta.crl`)), crl);
  for (const name of ['..%2fca.pem', '.operational.0011223344556677.tmp', `${'a'.repeat(200)}`, 'A', 'a/b'])
    for (const form of ['.crl', '.pem', ''])
      assert.equal((await fetch(`${url}/${name}${form}`)).status, 404, name + form);
});

test('a reader that goes away in the middle of a long list is no failure, and the list is there for the next', async () => {
  const crl = await publishLong();
  const before = failures.length;
  const aborted = new AbortController();
  const answer = await fetch(`${url}/operational.crl`, { signal: aborted.signal });
  const reader = answer.body?.getReader();
  await reader?.read();
  aborted.abort();
  await reader?.closed.catch(() => {});
  assert.deepEqual(await bytesOf(await fetchCrl()), crl);
  assert.equal(failures.length, before);
});
