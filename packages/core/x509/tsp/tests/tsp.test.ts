import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { randomBytes } from '../../../crypto/index.ts';
import { KeysteadError } from '../../../errors/index.ts';
import { readCertificate } from '../../certificate.ts';
import { booleanTrue, context, integer, octetString, oid, sequence } from '../../der/writer.ts';
import { newSerial } from '../../serial.ts';
import { mutated } from '../../tests/mutate.ts';
import { CA_EXTENSIONS, OpensslPki } from '../../tests/openssl-pki.ts';
import {
  parseTimestampRequest,
  type TimestampFacts,
  timestampAttributes,
  timestampRejection,
  timestampResponse,
  timestampToken,
  tstInfo,
} from '../index.ts';

const pki = new OpensslPki();
after(() => pki.remove());
pki.issue({ name: 'root', extensions: CA_EXTENSIONS });
const extensions = ['keyUsage=critical,digitalSignature', 'extendedKeyUsage=critical,timeStamping'];
pki.issue({ name: 'tsa', issuer: 'root', extensions });
pki.write('data', 'what is stamped');

function codeOf(act: () => unknown): string {
  try {
    act();
    return 'nothing';
  } catch (error) {
    return error instanceof KeysteadError ? error.code : String(error);
  }
}

function query(...more: string[]): Uint8Array {
  pki.run('openssl', 'ts', '-query', '-data', 'data', '-out', 'query.tsq', ...more);
  return pki.read('query.tsq');
}

const OPTIONS = [
  ['-sha256', '-cert'],
  ['-sha384', '-cert'],
  ['-sha512', '-cert', '-no_nonce'],
  ['-sha256', '-cert', '-tspolicy', '1.2.3.4'],
] as const;

for (const options of OPTIONS) {
  test(`openssl ts -verify takes the answer to openssl ts -query ${options.join(' ')} [openssl ts: TSP query, TSP verify]`, async () => {
    const request = parseTimestampRequest(query(...options));
    assert.equal(request.certReq, true);
    assert.equal(request.nonce === undefined, options.includes('-no_nonce' as never));
    const { hash, imprint, nonce } = request;
    const facts: TimestampFacts = {
      ...{ policy: request.policy ?? '1.2.3.4.5', hash, imprint, nonce },
      ...{ serial: newSerial(), time: new Date(), accuracySeconds: 1 },
    };
    const info = tstInfo(facts);
    const certificate = readCertificate(pki.certificate('tsa'));
    const signer = { certificate, algorithm: 'ecdsa-with-SHA256', digest: 'sha256' } as const;
    const signature = await pki.signer('tsa').sign(timestampAttributes(info, signer));
    const token = timestampToken(info, signer, signature, [certificate.der]);
    pki.write('answer.tsr', timestampResponse(token));
    const verify = ['ts', '-verify', '-in', 'answer.tsr', '-CAfile', 'root.pem'];
    const { code, output } = pki.try('openssl', ...verify, '-queryfile', 'query.tsq');
    assert.equal(code, 0, output);
    assert.equal(pki.try('openssl', ...verify, '-data', 'data').code, 0);
    pki.write('other', 'something else');
    assert.notEqual(pki.try('openssl', ...verify, '-data', 'other').code, 0);
    const told = pki.run('openssl', 'ts', '-reply', '-in', 'answer.tsr', '-text');
    assert.match(told, /Status: Granted\./);
    assert.match(told, /Accuracy: 0x01 seconds/);
  });
}

test('a token without the certificate of the TSA is verified by who has it', async () => {
  const { hash, imprint, nonce, certReq } = parseTimestampRequest(query('-sha256'));
  assert.equal(certReq, false);
  const serial = newSerial();
  const info = tstInfo({ policy: '1.2.3', hash, imprint, nonce, serial, time: new Date(), accuracySeconds: 2 });
  const certificate = readCertificate(pki.certificate('tsa'));
  const signer = { certificate, algorithm: 'ecdsa-with-SHA256', digest: 'sha256' } as const;
  const signature = await pki.signer('tsa').sign(timestampAttributes(info, signer));
  pki.write('answer.tsr', timestampResponse(timestampToken(info, signer, signature, [])));
  const verify = ['ts', '-verify', '-in', 'answer.tsr', '-CAfile', 'root.pem', '-queryfile', 'query.tsq'];
  assert.equal(pki.try('openssl', ...verify, '-untrusted', 'tsa.pem').code, 0);
  assert.notEqual(pki.try('openssl', ...verify).code, 0);
});

test('openssl reads a rejection, with its reason and its failure [openssl ts: TSP rejection]', () => {
  for (const [failure, name] of [
    ['badAlg', 'unrecognized or unsupported algorithm identifier'],
    ['timeNotAvailable', 'the TSA'],
    ['systemFailure', 'the request cannot be handled due to system failure'],
  ] as const) {
    pki.write('no.tsr', timestampRejection(failure, 'not today'));
    const told = pki.run('openssl', 'ts', '-reply', '-in', 'no.tsr', '-text');
    assert.match(told, /Status: Rejected\./);
    assert.match(told, /not today/);
    assert.match(told, new RegExp(name));
  }
});

test('a request that is not the one form, of another hash, or with an extension is refused by name', () => {
  const sha256 = sequence(sequence(oid('2.16.840.1.101.3.4.2.1')), octetString(randomBytes(32)));
  const requests: readonly (readonly [Uint8Array, string])[] = [
    [sequence(integer(1), sha256), 'nothing'],
    [sequence(integer(2), sha256), 'tsp.malformed'],
    [sequence(integer(1)), 'tsp.malformed'],
    [sequence(integer(1), sha256, booleanTrue(), integer(5)), 'tsp.malformed'],
    [sequence(integer(1), sha256, Uint8Array.of(1, 1, 0)), 'tsp.malformed'],
    [sequence(integer(1), sha256, octetString(new Uint8Array(3))), 'tsp.malformed'],
    [
      sequence(integer(1), sequence(sequence(oid('2.16.840.1.101.3.4.2.1')), octetString(new Uint8Array(31)))),
      'tsp.malformed',
    ],
    [
      sequence(integer(1), sequence(sequence(oid('1.3.14.3.2.26')), octetString(new Uint8Array(20)))),
      'tsp.hash-unsupported',
    ],
    [
      sequence(integer(1), sha256, context(0, sequence(oid('1.2.3'), octetString(new Uint8Array())))),
      'tsp.extension-unknown',
    ],
    [sequence(integer(1), sha256, octetString(new Uint8Array(2000))), 'tsp.malformed'],
    [Buffer.concat([sequence(integer(1), sha256), Uint8Array.of(0)]), 'tsp.malformed'],
    [new Uint8Array(), 'tsp.malformed'],
  ];
  for (const [der, code] of requests)
    assert.equal(
      codeOf(() => parseTimestampRequest(der)),
      code,
    );
  assert.equal(
    codeOf(() => parseTimestampRequest(query('-sha1'))),
    'tsp.hash-unsupported',
  );
});

test('a token has no nonce that is no INTEGER, or longer than a request may have it', () => {
  const facts = { policy: '1.2.3', hash: 'sha256', imprint: randomBytes(32), serial: newSerial() } as const;
  const withNonce = (...octets: number[]) =>
    codeOf(() => tstInfo({ ...facts, time: new Date(), accuracySeconds: 1, nonce: Uint8Array.from(octets) }));
  for (const nonce of [[], [0, 1], [0xff, 0x80], new Array<number>(33).fill(1)])
    assert.equal(withNonce(...nonce), 'tsp.malformed', String(nonce));
  for (const nonce of [[0], [0, 0x80], [0xff, 0x7f], new Array<number>(32).fill(1)])
    assert.equal(withNonce(...nonce), 'nothing', String(nonce));
});

test('no bytes make the reader fail in another way than by its own errors', () => {
  const seeds = [query('-sha256', '-cert', '-tspolicy', '1.2.3.4'), query('-sha512')];
  fc.assert(
    fc.property(fc.oneof(mutated(seeds), fc.uint8Array({ maxLength: 120 })), (bytes) => {
      const code = codeOf(() => parseTimestampRequest(bytes));
      assert.match(code, /^(nothing|tsp\.(malformed|hash-unsupported|extension-unknown))$/);
    }),
    { numRuns: 3000 },
  );
});
