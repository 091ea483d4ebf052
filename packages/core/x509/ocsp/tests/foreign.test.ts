import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { responderKeyHash } from '../cert-id.ts';
import { buildOcspRequest, parseOcspRequest } from '../request.ts';
import type { CertStatus } from '../response.ts';
import { readOcspResponse } from '../verify.ts';
import { answer, delegated, makeOcspPki, opensslRequest } from './responder.ts';

const { pki, ca, responder } = makeOcspPki();
after(() => pki.remove());
const now = new Date(Math.floor(Date.now() / 1000) * 1000);
const revokedAt = new Date('2026-11-01T08:09:10Z');

/** Two certificates were issued; all else is unknown. */
const statusOf = (serial: string): CertStatus => {
  if (serial === '7a01') return { status: 'good' };
  return serial === 'fa02' ? { status: 'revoked', revokedAt, reason: 'keyCompromise' } : { status: 'unknown' };
};

const verify = (response: string, ...args: string[]) =>
  pki.try('openssl', 'ocsp', '-respin', response, '-issuer', 'ca.pem', '-CAfile', 'ca.pem', '-no_nonce', ...args)
    .output;
/** OpenSSL compares nonces only when it reads the request from a file and no certificates are named. */
const verifyNonce = (request: string, response: string) => verify(response, '-reqin', request);

test('TEST-KEY-09: openssl ocsp verifies answers of a delegated responder: good, revoked with its reason, unknown', async () => {
  for (const hash of ['-sha1', '-sha256']) {
    const request = opensslRequest(
      pki,
      'three.req',
      hash,
      '-issuer',
      'ca.pem',
      '-cert',
      'kept.pem',
      '-cert',
      'stolen.pem',
      '-serial',
      '0xfeed',
    );
    assert.equal(request.certIds.length, 3);
    assert.equal(request.certIds[0]?.hashAlgorithm, hash.slice(1));
    assert.ok(request.nonce, 'OpenSSL sends a nonce');
    pki.write('three.der', await answer(pki, request, statusOf, delegated(responder, now)));
    assert.match(verifyNonce('three.req', 'three.der'), /^Response verify OK$/m);
    const seen = verify('three.der', hash, '-cert', 'kept.pem', '-cert', 'stolen.pem', '-serial', '0xfeed');
    assert.match(seen, /Response verify OK/);
    assert.match(seen, /kept\.pem: good/);
    assert.match(
      seen,
      /stolen\.pem: revoked[\s\S]*Reason: keyCompromise[\s\S]*Revocation Time: Nov +1 08:09:10 2026 GMT/,
    );
    assert.match(seen, /0xfeed: unknown/);
  }
});

test('TEST-KEY-09: openssl ocsp verifies answers that the CA signs itself', async () => {
  const request = opensslRequest(pki, 'own.req', '-no_nonce', '-issuer', 'ca.pem', '-cert', 'kept.pem');
  assert.equal(request.nonce, undefined);
  pki.write(
    'own.der',
    await answer(pki, request, statusOf, { key: 'ca', certs: [], keyHash: responderKeyHash(ca), now }),
  );
  assert.match(verify('own.der', '-cert', 'kept.pem'), /kept\.pem: good[\s\S]*Response verify OK/);
});

test('TEST-KEY-09: a nonce is copied into the answer (RFC 9654), and openssl ocsp finds any other one out', async () => {
  const request = opensslRequest(pki, 'nonce.req', '-issuer', 'ca.pem', '-cert', 'kept.pem');
  const other = new Uint8Array(16).fill(9);
  pki.write('nonce.der', await answer(pki, request, statusOf, { ...delegated(responder, now), nonce: other }));
  assert.match(verifyNonce('nonce.req', 'nonce.der'), /Nonce Verify error/);
  pki.write('nonce.der', await answer(pki, request, statusOf, delegated(responder, now)));
  assert.match(verifyNonce('nonce.req', 'nonce.der'), /^Response verify OK$/m);
});

test('TEST-KEY-09: ocsptool verifies each answer and prints its status', async () => {
  for (const [name, status] of [
    ['kept', /Certificate Status: good/],
    ['stolen', /Certificate Status: revoked/],
  ] as const) {
    pki.run(
      'ocsptool',
      '--generate-request',
      '--load-issuer',
      'ca.pem',
      '--load-cert',
      `${name}.pem`,
      '--outfile',
      'gnutls.req',
    );
    const request = parseOcspRequest(pki.read('gnutls.req'));
    pki.write('gnutls.der', await answer(pki, request, statusOf, delegated(responder, now)));
    const info = pki.run('ocsptool', '--response-info', '--load-response', 'gnutls.der');
    assert.match(info, status);
    const verdict = pki.try('ocsptool', '--verify-response', '--load-response', 'gnutls.der', '--load-trust', 'ca.pem');
    assert.equal(verdict.code, 0, verdict.output);
    assert.match(verdict.output, /Verifying OCSP Response: Success/);
  }
});

test('OpenSSL reads the requests that Keystead makes', () => {
  const nonce = Uint8Array.from({ length: 32 }, (_, i) => i + 0x80);
  for (const hash of ['sha1', 'sha256'] as const) {
    const request = buildOcspRequest({
      issuer: ca,
      serial: parseOcspRequest(pki.read('own.req')).certIds[0]?.serial ?? fail(),
      nonce,
      hash,
    });
    pki.write('ours.req', request);
    const text = pki.run('openssl', 'ocsp', '-reqin', 'ours.req', '-req_text');
    assert.match(text, new RegExp(`Hash Algorithm: ${hash}`));
    assert.match(text, /Serial Number: 7A01/);
    assert.match(text, /OCSP Nonce:\s+0420808182/i);
    assert.deepEqual(parseOcspRequest(request).nonce, nonce);
  }
});

test('answers of the openssl responder are read and believed, by name and by key', () => {
  pki.write(
    'index.txt',
    'V\t361231000000Z\t\t7A01\tunknown\t/CN=kept\nR\t361231000000Z\t261101080910Z,superseded\tFA02\tunknown\t/CN=stolen\n',
  );
  pki.run(
    'openssl',
    'ocsp',
    '-sha256',
    '-issuer',
    'ca.pem',
    '-cert',
    'kept.pem',
    '-cert',
    'stolen.pem',
    '-reqout',
    'x.req',
  );
  for (const id of [[], ['-resp_key_id']]) {
    pki.run(
      'openssl',
      'ocsp',
      '-index',
      'index.txt',
      '-CA',
      'ca.pem',
      '-rsigner',
      'responder.pem',
      '-rkey',
      'responder.key',
      '-ndays',
      '1',
      '-reqin',
      'x.req',
      '-respout',
      'x.der',
      ...id,
    );
    const expected = { issuer: ca, now: new Date(), nonce: parseOcspRequest(pki.read('x.req')).nonce };
    const [kept, stolen] = parseOcspRequest(pki.read('x.req')).certIds;
    assert.ok(kept && stolen);
    assert.equal(readOcspResponse(pki.read('x.der'), { ...expected, serial: kept.serial }).status, 'good');
    const revoked = readOcspResponse(pki.read('x.der'), { ...expected, serial: stolen.serial });
    assert.deepEqual(
      [revoked.status, revoked.reason, revoked.revokedAt],
      ['revoked', 'superseded', new Date('2026-11-01T08:09:10Z')],
    );
  }
});

const fail = (): never => assert.fail('no serial');
