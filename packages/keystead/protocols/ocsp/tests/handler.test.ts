import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { after, beforeEach, test } from 'node:test';
import type { Serial } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { buildOcspRequest, parseOcspResponse } from '@keystead/core/x509';
import { ANSWER_SECONDS, bytesOf, OcspRig } from './rig.ts';

const rig = await OcspRig.start();
after(() => rig.stop());

let serials = 0;
/** A certificate of its own for each test, so that no test sees the kept answers of another. */
function issued(): Serial {
  serials += 1;
  const serial = `4b${serials.toString(16).padStart(4, '0')}` as Serial;
  rig.statuses.set(serial, { status: 'good' });
  return serial;
}
const ask = (serial: Serial, nonce?: Uint8Array) => buildOcspRequest({ issuer: rig.ca, serial, nonce });
const statusOf = async (response: Response) => parseOcspResponse(await bytesOf(response)).singles[0]?.status;
const errorOf = async (response: Response) => {
  const der = await bytesOf(response);
  try {
    parseOcspResponse(der);
  } catch (error) {
    return error instanceof KeysteadError ? error.seen : undefined;
  }
  return undefined;
};
const pathOf = (serial: Serial) =>
  `${rig.url}/ocsp/operational/${encodeURIComponent(Buffer.from(ask(serial)).toString('base64'))}`;

beforeEach(() => {
  rig.signed = 0;
  rig.signOcsp = undefined;
  rig.failures.length = 0;
});

test('a revocation is in the next OCSP answer, by POST and by GET, although the one before is still good for long', async () => {
  const [serial, neighbour] = [issued(), issued()];
  for (let i = 0; i < 3; i += 1) {
    assert.equal(await statusOf(await rig.post(ask(serial))), 'good');
    assert.equal(await statusOf(await fetch(pathOf(serial))), 'good');
    assert.equal(await statusOf(await rig.post(ask(neighbour))), 'good');
  }
  assert.equal(rig.signed, 3, 'one signature for each request in other bytes');
  rig.change(serial, { status: 'revoked', revokedAt: rig.clock.now(), reason: 'keyCompromise' });
  assert.equal(await statusOf(await rig.post(ask(serial))), 'revoked');
  assert.equal(await statusOf(await fetch(pathOf(serial))), 'revoked');
  assert.equal(rig.signed, 5);
  assert.equal(await statusOf(await rig.post(ask(neighbour))), 'good');
  assert.equal(rig.signed, 5, 'the answers of other certificates stay');
});

test('an answer that keyd was making while the status changed is made again, not sent and not kept', async () => {
  const serial = issued();
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let making = 0;
  rig.signOcsp = async (params) => {
    making += 1;
    await held;
    return rig.sign(params);
  };
  const before = rig.post(ask(serial));
  const withNonce = rig.post(ask(serial, randomBytes(32)));
  await until(() => making === 2);
  rig.change(serial, { status: 'revoked', revokedAt: rig.clock.now() });
  const later = rig.post(ask(serial));
  await until(() => making === 3);
  release();
  assert.equal(await statusOf(await later), 'revoked');
  assert.equal(await statusOf(await before), 'revoked');
  assert.equal(await statusOf(await withNonce), 'revoked');
  assert.equal(making, 5, 'the first two twice');
  assert.equal(await statusOf(await rig.post(ask(serial))), 'revoked');
});

test('requests of the same bytes wait for one signature', async () => {
  const serial = issued();
  const answers = await Promise.all(Array.from({ length: 20 }, () => rig.post(ask(serial))));
  for (const answer of answers) assert.equal(await statusOf(answer), 'good');
  assert.equal(rig.signed, 1);
});

test('an answer is made anew when a quarter of its life is left, so none is given at its end', async () => {
  const serial = issued();
  await rig.post(ask(serial));
  rig.clock.advance(ANSWER_SECONDS * 0.75);
  const { singles } = parseOcspResponse(await bytesOf(await rig.post(ask(serial))));
  assert.equal(rig.signed, 2);
  assert.deepEqual(singles[0]?.thisUpdate, rig.clock.now());
  // Whoever asks in its second half has the next one made, and is given this one.
  rig.clock.advance(ANSWER_SECONDS * 0.75 - 1);
  await rig.post(ask(serial));
  assert.equal(rig.signed, 3);
  rig.clock.advance(1);
  await rig.post(ask(serial));
  assert.equal(rig.signed, 3);
});

test('answers with a nonce, of unknown certificates, and errors are never kept', async () => {
  const serial = issued();
  const nonce = randomBytes(32);
  for (let i = 0; i < 2; i += 1) {
    const answer = await rig.post(ask(serial, nonce));
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.deepEqual(parseOcspResponse(await bytesOf(answer)).nonce, nonce);
    assert.equal(await statusOf(await rig.post(ask('0fffff' as Serial))), 'unknown');
  }
  assert.equal(rig.signed, 4);
  const unissued = '0ffffe' as Serial;
  assert.equal(await statusOf(await rig.post(ask(unissued))), 'unknown');
  rig.statuses.set(unissued, { status: 'good' });
  assert.equal(await statusOf(await rig.post(ask(unissued))), 'good', 'once it is issued');
});

test('answers to GET carry the headers of RFC 5019 section 6.2', async () => {
  const serial = issued();
  const answer = await fetch(pathOf(serial));
  assert.equal(answer.headers.get('content-type'), 'application/ocsp-response');
  const { singles } = parseOcspResponse(await bytesOf(answer));
  assert.equal(answer.headers.get('last-modified'), singles[0]?.thisUpdate.toUTCString());
  assert.equal(answer.headers.get('expires'), singles[0]?.nextUpdate?.toUTCString());
  const maxAge = Number(
    /^max-age=(\d+),public,no-transform,must-revalidate$/.exec(answer.headers.get('cache-control') ?? '')?.[1],
  );
  assert.ok(maxAge > 0 && maxAge <= 60);
  const etag = answer.headers.get('etag') ?? '';
  assert.match(etag, /^"[0-9a-f]{32}"$/);
  for (const header of [etag, `"x", W/${etag}`, '*']) {
    const same = await fetch(pathOf(serial), { headers: { 'If-None-Match': header } });
    assert.equal(same.status, 304);
    assert.equal((await bytesOf(same)).length, 0);
    assert.equal(same.headers.get('etag'), etag);
  }
  assert.equal((await fetch(pathOf(serial), { headers: { 'If-None-Match': '"other"' } })).status, 200);
  const since = (date: string, etag?: string) =>
    fetch(pathOf(serial), { headers: { 'If-Modified-Since': date, ...(etag && { 'If-None-Match': etag }) } });
  const modified = answer.headers.get('last-modified') ?? '';
  assert.equal((await since(modified)).status, 304);
  assert.equal((await since(new Date(Date.parse(modified) - 1000).toUTCString())).status, 200);
  assert.equal((await since('no date')).status, 200);
  assert.equal((await since(modified, '"other"')).status, 200, 'the tag decides where there is one');
  const head = await fetch(pathOf(serial), { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.equal(head.headers.get('etag'), etag);
  assert.equal(rig.signed, 1);
});

test('what is not an OCSP request is malformedRequest, and never reaches keyd', async () => {
  for (const body of [new Uint8Array(0), Uint8Array.of(0x30, 0), Buffer.concat([ask(issued()), Uint8Array.of(0)])])
    assert.equal(await errorOf(await rig.post(body)), 'malformedRequest');
  for (const path of ['', '/', '/%', '/!!!', '/AAAA', `/${'A'.repeat(4000)}`])
    assert.equal(await errorOf(await fetch(`${rig.url}/ocsp/operational${path}`)), 'malformedRequest');
  assert.equal(rig.signed, 0);
});

test('other paths, methods, content types and sizes are refused in terms of HTTP', async () => {
  const der = ask(issued());
  assert.equal((await rig.post(der, 'nobody')).status, 404);
  assert.equal((await rig.post(der, 'root')).status, 404, 'a CA that has no responder');
  assert.equal((await fetch(`${rig.url}/ocsp/nobody/AAAA`)).status, 404);
  assert.equal((await fetch(`${rig.url}/ocsp/operational`, { method: 'PUT', body: 'x' })).status, 405);
  assert.equal((await rig.post(der, 'operational', 'text/plain')).status, 415);
  assert.equal(await statusOf(await rig.post(der, 'operational', 'Application/OCSP-Request; x=y')), 'good');
  assert.equal((await fetch(`${rig.url}/elsewhere`)).status, 418, 'left to others');
  assert.equal(await status413({ 'Content-Length': '8193' }), 413);
  assert.equal(await status413({ 'Transfer-Encoding': 'chunked' }), 413);
});

/** Sends a body that is too large, in two pieces when its length is not told. */
function status413(headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      `${rig.url}/ocsp/operational`,
      { method: 'POST', headers: { 'Content-Type': 'application/ocsp-request', ...headers } },
      (response) => {
        response.resume();
        resolve(response.statusCode);
      },
    );
    sent.on('error', reject);
    sent.write(Buffer.alloc(5000));
    sent.end(Buffer.alloc(3193));
  });
}

test('while keyd is away the answer is tryLater, and what nobody expected is internalError', async () => {
  const serial = issued();
  rig.signOcsp = () => Promise.reject(new KeysteadError('ocsp.busy'));
  assert.equal(await errorOf(await rig.post(ask(serial))), 'tryLater');
  assert.deepEqual(rig.failures, []);
  rig.signOcsp = () => Promise.reject(new TypeError('a fault'));
  const answer = await rig.post(ask(serial));
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  assert.equal(await errorOf(answer), 'internalError');
  assert.equal(rig.failures.length, 1);
  rig.signOcsp = undefined;
  assert.equal(await statusOf(await rig.post(ask(serial))), 'good', 'failures are not kept');
});

/** Lets the event loop turn until `condition` holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
