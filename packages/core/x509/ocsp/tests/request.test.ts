import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { Serial } from '../../../bytes/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { booleanTrue, context, integer, nullValue, octetString, oid, sequence } from '../../der/writer.ts';
import { OcspIssuer } from '../cert-id.ts';
import { OCSP_OIDS } from '../oids.ts';
import { buildOcspRequest, MAX_OCSP_REQUEST_BYTES, parseOcspRequest } from '../request.ts';
import { makeOcspPki } from './responder.ts';

const { pki, ca } = makeOcspPki();
after(() => pki.remove());
const issuer = new OcspIssuer(ca);
const id = (serial: string) => issuer.certId(serial as Serial, 'sha1');
const ask = (...parts: Uint8Array[]) => sequence(sequence(...parts));
const list = (...ids: Uint8Array[]) => sequence(...ids.map((one) => sequence(one)));
const malformed = { code: 'ocsp.malformed' };

test('a CertID is echoed byte for byte, whether its hash algorithm has NULL parameters or none', () => {
  const withNull = id('7a01');
  const hashes = parseOcspRequest(ask(list(withNull))).certIds[0];
  assert.ok(hashes);
  const without = sequence(
    sequence(oid('1.3.14.3.2.26')),
    octetString(hashes.issuerNameHash),
    octetString(hashes.issuerKeyHash),
    integer(0x7a01),
  );
  for (const der of [withNull, without]) {
    const [read] = parseOcspRequest(ask(list(der))).certIds;
    assert.deepEqual(read?.der, der);
    assert.equal(read?.serial, '7a01');
    assert.ok(read && issuer.issued(read));
  }
});

test('from 1 to 16 certificates are asked for at once, no more', () => {
  const many = (n: number) => ask(list(...Array.from({ length: n }, (_, i) => id((i + 0x10).toString(16)))));
  assert.equal(parseOcspRequest(many(16)).certIds.length, 16);
  assert.throws(() => parseOcspRequest(many(17)), malformed);
  assert.throws(() => parseOcspRequest(many(0)), malformed);
});

test('a nonce has from 1 to 128 octets (RFC 9654 section 2.1)', () => {
  const serial = '01' as Serial;
  const withNonce = (octets: number) =>
    ask(
      list(id('01')),
      context(2, sequence(sequence(oid(OCSP_OIDS.nonce), octetString(octetString(new Uint8Array(octets)))))),
    );
  for (const octets of [1, 32, 128]) {
    assert.equal(parseOcspRequest(withNonce(octets)).nonce?.length, octets);
    assert.deepEqual(
      buildOcspRequest({ issuer: ca, serial, nonce: new Uint8Array(octets), hash: 'sha1' }),
      withNonce(octets),
    );
  }
  for (const octets of [0, 129, 1000]) {
    assert.throws(() => parseOcspRequest(withNonce(octets)), malformed);
    assert.throws(() => buildOcspRequest({ issuer: ca, serial, nonce: new Uint8Array(octets) }), RangeError);
  }
});

test('what is not strict DER of RFC 6960 is malformed', () => {
  const good = ask(list(id('01')));
  const unknownCritical = sequence(sequence(oid('1.2.3.4'), booleanTrue(), octetString(nullValue())));
  const cases: Record<string, Uint8Array> = {
    nothing: new Uint8Array(0),
    'a byte after the end': Buffer.concat([good, Uint8Array.of(0)]),
    'an indefinite length': Buffer.concat([Uint8Array.of(0x30, 0x80), good.subarray(2), Uint8Array.of(0, 0)]),
    'the default version': ask(context(0, integer(0)), list(id('01'))),
    'no list': sequence(sequence()),
    'a critical extension of the request': ask(list(id('01')), context(2, unknownCritical)),
    'a critical extension of a CertID': ask(sequence(sequence(id('01'), context(0, unknownCritical)))),
    'a CertID without a serial': ask(list(sequence(sequence(oid('1.3.14.3.2.26'))))),
    'a hash that is too short': ask(
      list(
        sequence(
          sequence(oid('1.3.14.3.2.26')),
          octetString(new Uint8Array(19)),
          octetString(new Uint8Array(20)),
          integer(1),
        ),
      ),
    ),
    'an endless serial': ask(
      list(
        sequence(
          sequence(oid('1.3.14.3.2.26')),
          octetString(new Uint8Array(20)),
          octetString(new Uint8Array(20)),
          Uint8Array.of(0x02, 22, ...new Uint8Array(22).fill(1)),
        ),
      ),
    ),
    'too many bytes': ask(
      list(id('01')),
      context(2, sequence(sequence(oid('1.2.3'), octetString(new Uint8Array(MAX_OCSP_REQUEST_BYTES))))),
    ),
    'ten thousand nested sequences': nested(4000),
  };
  assert.equal(parseOcspRequest(good).certIds.length, 1);
  for (const [name, der] of Object.entries(cases)) assert.throws(() => parseOcspRequest(der), malformed, name);
});

function nested(depth: number): Uint8Array {
  let der: Uint8Array = nullValue();
  for (let i = 0; i < depth && der.length < MAX_OCSP_REQUEST_BYTES - 8; i += 1) der = sequence(der);
  return der;
}

test('a CertID of another hash is well-formed but not supported', () => {
  const der = sequence(
    sequence(oid('2.16.840.1.101.3.4.2.3')),
    octetString(new Uint8Array(64)),
    octetString(new Uint8Array(64)),
    integer(1),
  );
  assert.throws(() => parseOcspRequest(ask(list(der))), { code: 'ocsp.hash-unsupported' });
});

test('extensions that are not known and not critical are passed over, as is a signature', () => {
  const known = sequence(sequence(oid('1.3.6.1.5.5.7.48.1.4'), octetString(sequence(oid(OCSP_OIDS.basic)))));
  assert.equal(parseOcspRequest(ask(list(id('01')), context(2, known))).nonce, undefined);
  pki.run(
    'openssl',
    'ocsp',
    '-issuer',
    'ca.pem',
    '-serial',
    '0x01',
    '-signer',
    'kept.pem',
    '-signkey',
    'kept.key',
    '-reqout',
    'signed.req',
  );
  assert.equal(parseOcspRequest(pki.read('signed.req')).certIds[0]?.serial, '01');
});

test('no bytes make the reader fail in another way than by its own errors', () => {
  const seeds = [
    buildOcspRequest({ issuer: ca, serial: 'fa02' as Serial, nonce: new Uint8Array(32).fill(7) }),
    pki.read('signed.req'),
  ];
  const mutated = fc
    .tuple(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
    .map(([seed, edits]) => {
      const bytes = new Uint8Array(seed);
      for (const [at, value] of edits) bytes[at % bytes.length] = value;
      return bytes;
    });
  const cut = fc
    .tuple(fc.constantFrom(...seeds), fc.nat(), fc.nat())
    .map(([seed, from, to]) => seed.subarray(from % seed.length, to % (seed.length + 1)));
  fc.assert(
    fc.property(fc.oneof(mutated, cut, fc.uint8Array({ maxLength: 200 })), (bytes) => {
      try {
        const { certIds, nonce } = parseOcspRequest(bytes);
        assert.ok(certIds.length >= 1 && certIds.length <= 16);
        assert.ok(nonce === undefined || (nonce.length >= 1 && nonce.length <= 128));
      } catch (error) {
        if (!(error instanceof KeysteadError)) throw error;
        assert.match(error.code, /^ocsp\.(malformed|hash-unsupported)$/);
      }
    }),
    { numRuns: 20_000 },
  );
});

test('any serial and nonce that are asked for are read as asked', () => {
  const aSerial = fc.bigInt({ min: 0n, max: (1n << 160n) - 1n }).map((n) => {
    const hex = n.toString(16);
    return (hex.length % 2 === 0 ? hex : `0${hex}`) as Serial;
  });
  fc.assert(
    fc.property(
      aSerial,
      fc.option(fc.uint8Array({ minLength: 1, maxLength: 128 }), { nil: undefined }),
      fc.constantFrom('sha1', 'sha256'),
      (serial, nonce, hash) => {
        const read = parseOcspRequest(buildOcspRequest({ issuer: ca, serial, nonce, hash }));
        assert.deepEqual(read.nonce, nonce);
        assert.equal(read.certIds[0]?.serial, serial);
        assert.ok(read.certIds[0] && issuer.issued(read.certIds[0]));
      },
    ),
    { numRuns: 300 },
  );
});
