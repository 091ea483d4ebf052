import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { DerCertificate, Serial } from '../../../bytes/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { CA_EXTENSIONS } from '../../tests/openssl-pki.ts';
import { parseOcspResponse } from '../answer.ts';
import { responderKeyHash } from '../cert-id.ts';
import { buildOcspRequest, parseOcspRequest } from '../request.ts';
import { ocspError } from '../response.ts';
import { type OcspExpectation, readOcspResponse } from '../verify.ts';
import { type Answering, answer, delegated, makeOcspPki, RESPONDER_EXTENSIONS } from './responder.ts';

const { pki, ca, responder } = makeOcspPki();
after(() => pki.remove());
const now = new Date(Math.floor(Date.now() / 1000) * 1000);
const serial = '7a01' as Serial;
const nonce = new Uint8Array(32).fill(5);
const request = parseOcspRequest(buildOcspRequest({ issuer: ca, serial, nonce }));
const expected: OcspExpectation = { issuer: ca, serial, now, nonce };
const good = () => ({ status: 'good' }) as const;
const after_ = (seconds: number) => new Date(now.getTime() + seconds * 1000);

const refused = (der: Uint8Array, code: string, change: Partial<OcspExpectation> = {}) =>
  assert.throws(() => readOcspResponse(der, { ...expected, ...change }), { code });

test('a good answer is believed from thisUpdate to nextUpdate and not a second longer', async () => {
  const der = await answer(pki, request, good, { ...delegated(responder, now), seconds: 60 });
  assert.deepEqual(readOcspResponse(der, expected), {
    status: 'good',
    revokedAt: undefined,
    reason: undefined,
    producedAt: now,
    thisUpdate: now,
    nextUpdate: after_(60),
  });
  readOcspResponse(der, { ...expected, now: after_(59) });
  refused(der, 'ocsp.answer-stale', { now: after_(60) });
});

test('thisUpdate may lie ahead of a clock that is behind, by as much as is tolerated', async () => {
  const der = await answer(pki, request, good, { key: 'ca', certs: [], keyHash: responderKeyHash(ca), now });
  readOcspResponse(der, { ...expected, now: after_(-60) });
  refused(der, 'ocsp.answer-stale', { now: after_(-61) });
  refused(der, 'ocsp.answer-stale', { now: after_(-1), futureToleranceSeconds: 0 });
});

test('an answer to another question is refused: certificate, issuer, nonce', async () => {
  const der = await answer(pki, request, good, delegated(responder, now));
  refused(der, 'ocsp.answer-mismatch', { serial: 'fa02' as Serial });
  refused(der, 'ocsp.answer-mismatch', { nonce: new Uint8Array(32) });
  const { nonce: _, ...withoutNonce } = request;
  refused(await answer(pki, withoutNonce, good, delegated(responder, now)), 'ocsp.answer-mismatch');
  const other = pki.issue({ name: 'other', subject: '/O=Keystead test/CN=OCSP CA', extensions: CA_EXTENSIONS });
  refused(der, 'ocsp.answer-untrusted', { issuer: other });
});

test('error answers give no status', () => {
  for (const status of ['malformedRequest', 'internalError', 'tryLater', 'unauthorized'] as const) {
    assert.throws(() => readOcspResponse(ocspError(status), expected), { code: 'ocsp.answer-refused', seen: status });
    pki.write('error.der', ocspError(status));
    assert.match(pki.try('openssl', 'ocsp', '-respin', 'error.der').output, new RegExp(status.slice(0, 6), 'i'));
  }
});

test('only a responder that the issuer itself authorised, for now and for nothing else, is believed', async () => {
  const variants: Record<string, { issuer?: string; extensions: string[] }> = {
    'without OCSPSigning': {
      issuer: 'ca',
      extensions: RESPONDER_EXTENSIONS.filter((line) => !line.startsWith('extended')),
    },
    'with another purpose': {
      issuer: 'ca',
      extensions: RESPONDER_EXTENSIONS.map((line) => line.replace('OCSPSigning', 'clientAuth')),
    },
    'without nocheck': { issuer: 'ca', extensions: RESPONDER_EXTENSIONS.filter((line) => !line.startsWith('noCheck')) },
    'whose key may not sign': {
      issuer: 'ca',
      extensions: RESPONDER_EXTENSIONS.map((line) => line.replace('digitalSignature', 'keyAgreement')),
    },
    'with a critical extension of unknown meaning': {
      issuer: 'ca',
      extensions: [...RESPONDER_EXTENSIONS, '1.2.3.4=critical,DER:0500'],
    },
    'that signed itself': { extensions: RESPONDER_EXTENSIONS.filter((line) => !line.startsWith('authority')) },
    'of a namesake of the issuer': { issuer: 'namesake', extensions: RESPONDER_EXTENSIONS },
    'of a CA below the issuer': { issuer: 'below', extensions: RESPONDER_EXTENSIONS },
  };
  pki.issue({ name: 'namesake', subject: '/O=Keystead test/CN=OCSP CA', extensions: CA_EXTENSIONS });
  pki.issue({ name: 'below', issuer: 'ca', extensions: CA_EXTENSIONS });
  for (const [i, [what, { issuer, extensions }]] of Object.entries(variants).entries()) {
    const name = `r${i}`;
    const certificate = pki.issue({ name, issuer, extensions });
    const by: Answering = { key: name, certs: [certificate], keyHash: responderKeyHash(certificate), now };
    const der = await answer(pki, request, good, by);
    assert.throws(() => readOcspResponse(der, expected), { code: 'ocsp.answer-untrusted' }, what);
  }
  const fine = await answer(pki, request, good, { ...delegated(responder, now), seconds: 86_400 * 60 });
  refused(fine, 'ocsp.answer-untrusted', { now: after_(86_400 * 31) });
  refused(fine, 'ocsp.answer-untrusted', { now: after_(-3600) });
});

test('an answer signed with another key than its responder names, or without its certificate, is refused', async () => {
  const by = delegated(responder, now);
  refused(await answer(pki, request, good, { ...by, key: 'kept' }), 'ocsp.answer-untrusted');
  refused(await answer(pki, request, good, { ...by, certs: [] }), 'ocsp.answer-untrusted');
  refused(
    await answer(pki, request, good, { ...by, certs: [new Uint8Array([0x30, 0]) as DerCertificate] }),
    'ocsp.answer-malformed',
  );
});

test('one byte changed anywhere in an answer is never believed', async () => {
  const der = await answer(pki, request, good, delegated(responder, now));
  fc.assert(
    fc.property(fc.nat(der.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
      const changed = new Uint8Array(der);
      changed[at] = (changed[at] ?? 0) ^ mask;
      assert.throws(() => readOcspResponse(changed, expected), KeysteadError);
    }),
    { numRuns: 1500 },
  );
});

test('no bytes make the reader of answers fail in another way than by its own errors', async () => {
  const der = await answer(pki, request, good, delegated(responder, now));
  const cut = fc.tuple(fc.nat(der.length), fc.nat(der.length)).map(([from, to]) => der.subarray(from, to));
  fc.assert(
    fc.property(fc.oneof(cut, fc.uint8Array({ maxLength: 300 })), (bytes) => {
      try {
        parseOcspResponse(bytes);
      } catch (error) {
        assert.ok(error instanceof KeysteadError, String(error));
      }
    }),
    { numRuns: 5000 },
  );
});
