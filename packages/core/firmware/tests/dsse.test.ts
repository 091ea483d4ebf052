import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromBase64, toBase64, toHex } from '../../bytes/index.ts';
import { sha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { dsse, dsseEnvelope, dsseSigners, imageOf, pae, readDsseEnvelope, readPae } from '../index.ts';
import { newTestSigner, together } from './signers.ts';

const code =
  (expected: string, field?: string) =>
  (error: unknown): boolean =>
    error instanceof KeysteadError && error.code === expected && (field === undefined || error.field === field);
const text = (value: string): Uint8Array => Buffer.from(value);
const statement = (more: Record<string, unknown> = {}): Uint8Array =>
  text(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name: 'pump.bin', digest: { sha256: toHex(sha256(text('pump'))) } }],
      predicateType: 'https://cyclonedx.org/bom',
      predicate: { bomFormat: 'CycloneDX' },
      ...more,
    }),
  );

const signer = await newTestSigner('P-256');
const other = await newTestSigner('Ed25519');

test("the specification's own example has its pre-authentication encoding", () => {
  // secure-systems-lab/dsse protocol.md, test vectors.
  const payload = text('hello world');
  const encoded = pae({ payloadType: 'http://example.com/HelloWorld', payload });
  assert.equal(Buffer.from(encoded).toString(), 'DSSEv1 29 http://example.com/HelloWorld 11 hello world');
  const read = readPae(encoded);
  assert.equal(read.payloadType, 'http://example.com/HelloWorld');
  assert.deepEqual(Buffer.from(read.payload), payload);
});

test("the specification's own signature verifies by its own key", () => {
  // protocol.md: ECDSA P-256 with SHA-256; its signature there is r and s side by side, here as DER.
  const point =
    '04' +
    BigInt('46950820868899156662930047687818585632848591499744589407958293238635476079160')
      .toString(16)
      .padStart(64, '0') +
    BigInt('5640078356564379163099075877009565129882514886557779369047442380624545832820')
      .toString(16)
      .padStart(64, '0');
  const spki = Buffer.from(`3059301306072a8648ce3d020106082a8648ce3d030107034200${point}`, 'hex');
  const numbers = Buffer.from(
    fromBase64('A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=='),
  );
  const integer = (part: Buffer): Buffer => {
    const value = (part[0] ?? 0) >= 0x80 ? Buffer.concat([Buffer.of(0), part]) : part;
    return Buffer.concat([Buffer.of(2, value.length), value]);
  };
  const body = Buffer.concat([integer(numbers.subarray(0, 32)), integer(numbers.subarray(32))]);
  const sig = Buffer.concat([Buffer.of(0x30, body.length), body]);
  const key = spki as Uint8Array as Parameters<typeof dsseSigners>[1][number];
  const envelope = {
    payloadType: 'http://example.com/HelloWorld',
    payload: text('hello world'),
    signatures: [{ sig }],
  };
  assert.deepEqual(dsseSigners(envelope, [key]), [key]);
  assert.deepEqual(dsseSigners({ ...envelope, payload: text('hello worle') }, [key]), []);
});

test('an envelope names its signers, each once, whatever its keyids say', async () => {
  const image = imageOf(statement());
  const { subject } = await dsse.read(image);
  const made = [await signer.made(dsse, subject), await signer.made(dsse, subject), await other.made(dsse, subject)];
  const envelope = readDsseEnvelope(await together(dsse.assemble(image, subject, made)));
  const keys = [signer.key.spki, other.key.spki, signer.key.spki];
  assert.deepEqual(dsseSigners(envelope, keys), [signer.key.spki, other.key.spki]);
  const misled = envelope.signatures.map(({ sig }) => ({ keyid: 'nobody', sig }));
  assert.deepEqual(dsseSigners({ ...envelope, signatures: misled }, keys), [signer.key.spki, other.key.spki]);
  assert.deepEqual(dsseSigners({ ...envelope, payloadType: 'application/json' }, keys), []);
  assert.deepEqual(dsseSigners({ ...envelope, signatures: envelope.signatures.slice(0, 2) }, [other.key.spki]), []);
});

test('an ML-DSA key signs beside one of today, by a certificate of its own', async () => {
  const quantum = await newTestSigner('ML-DSA-87');
  const image = imageOf(statement());
  const { subject } = await dsse.read(image);
  const made = [await signer.made(dsse, subject), await quantum.made(dsse, subject)];
  const envelope = readDsseEnvelope(await together(dsse.assemble(image, subject, made)));
  assert.deepEqual(dsseSigners(envelope, [quantum.key.spki, signer.key.spki]), [quantum.key.spki, signer.key.spki]);
  assert.deepEqual(dsseSigners({ ...envelope, payload: text('x') }, [quantum.key.spki]), []);
});

test('plain bytes, a statement and an envelope that is not signed are each read for what they are', async () => {
  const type = async (bytes: Uint8Array) => readPae((await dsse.read(imageOf(bytes))).subject).payloadType;
  assert.equal(await type(text('firmware')), 'application/octet-stream');
  assert.equal(await type(text('{"some":"json"}')), 'application/octet-stream');
  assert.equal(await type(new Uint8Array(0)), 'application/octet-stream');
  assert.equal(await type(statement()), 'application/vnd.in-toto+json');
  const prepared = await dsse.prepare?.(imageOf(text('firmware')), { payloadType: 'application/vnd.acme.firmware' });
  assert.ok(prepared !== undefined);
  const { subject } = await dsse.read(prepared);
  assert.equal(Buffer.from(subject).toString(), 'DSSEv1 29 application/vnd.acme.firmware 8 firmware');
});

test('people see every digest of an artefact, however long its name is', async () => {
  const sha256Hex = toHex(sha256(text('pump')));
  const digest = { sha1: 'ab'.repeat(20), sha512: 'cd'.repeat(64), sha256: sha256Hex };
  const named = statement({ subject: [{ name: 'pump.bin'.padEnd(2000, ' '), uri: 'https://pumps.example/', digest }] });
  const { shown } = await dsse.read(imageOf(named));
  const digests = shown.filter(({ name }) => name === 'artefact digest').map(({ value }) => value);
  assert.deepEqual(digests, [`sha1:${digest.sha1}`, `sha512:${digest.sha512}`, `sha256:${sha256Hex}`]);
  const many = Object.fromEntries(Array.from({ length: 9 }, (_, index) => [`hash${index}`, sha256Hex]));
  await assert.rejects(
    dsse.read(imageOf(statement({ subject: [{ digest: many }] }))),
    code('firmware.malformed', 'statement.subject.0.digest'),
  );
});

test('JSON of more members and values than an SBOM has is refused before memory is filled', () => {
  const many = text(`{"_type":[${'{},'.repeat(1_000_000)}{}]}`);
  const subject = pae({ payloadType: 'application/vnd.in-toto+json', payload: many });
  assert.throws(() => dsse.claims(subject), code('firmware.malformed', 'statement'));
  // The largest that an SBOM is, is not.
  const components = Array.from({ length: 40_000 }, (_, index) => ({ name: `library-${index}`, version: '1.0' }));
  const sbom = statement({ predicate: { bomFormat: 'CycloneDX', components } });
  assert.equal(dsse.claims(pae({ payloadType: 'application/vnd.in-toto+json', payload: sbom })).product, null);
});

test('an envelope that has a signature is not signed again', async () => {
  const signed = dsseEnvelope({ payloadType: 'a/b', payload: text('x'), signatures: [{ sig: text('s') }] });
  await assert.rejects(dsse.read(imageOf(signed)), code('firmware.signed-already', 'signatures'));
});

test('a statement that is none, or that two readers read differently, is refused by the reader and by keyd', async () => {
  const plain = Buffer.from(statement()).toString();
  const digest = '"digest"';
  const bad: readonly (readonly [field: string, bytes: Uint8Array])[] = [
    ['statement._type', statement({ _type: 'https://in-toto.io/Statement/v0.1' })],
    ['statement.subject', statement({ subject: [] })],
    ['subject.0', statement({ subject: [{ name: 'a', digest: {} }] })],
    ['statement.subject.0.digest.sha256', statement({ subject: [{ name: 'a', digest: { sha256: 'ABCDEF01' } }] })],
    ['statement.predicateType', statement({ predicateType: '' })],
    ['predicate.buildDefinition', statement({ predicateType: 'https://slsa.dev/provenance/v1' })],
    ['statement', text(plain.replace(digest, `"digest":{"sha256":"00000000"},${digest}`))],
    ['statement', text(`\ufeff${plain}`)],
    ['statement', Buffer.concat([text(plain.slice(0, -1)), Buffer.of(0xff), text('}')])],
  ];
  for (const [field, bytes] of bad) {
    const subject = pae({ payloadType: 'application/vnd.in-toto+json', payload: bytes });
    assert.throws(() => dsse.compose(subject, signer.terms), code('firmware.malformed', field), field);
    assert.throws(() => dsse.claims(subject), code('firmware.malformed', field), field);
  }
  const [, version] = bad[0] ?? [];
  assert.ok(version !== undefined);
  await assert.rejects(dsse.read(imageOf(version)), code('firmware.malformed'));
});

test('keyd composes from nothing but the one encoding', () => {
  const good = Buffer.from(pae({ payloadType: 'a/b', payload: text('firmware') })).toString();
  assert.equal(good, 'DSSEv1 3 a/b 8 firmware');
  const bad = [
    '',
    'DSSEv1',
    'firmware',
    'DSSEv2 3 a/b 8 firmware',
    'DSSEv1 03 a/b 8 firmware',
    'DSSEv1 3 a/b 08 firmware',
    'DSSEv1 3  a/b 8 firmware',
    'DSSEv1 2 a/b 8 firmware',
    'DSSEv1 4 a/b  8 firmware',
    'DSSEv1 0  8 firmware',
    'DSSEv1 3 a/b 7 firmware',
    'DSSEv1 3 a/b 9 firmware',
    'DSSEv1 3 a\nb 8 firmware',
    'DSSEv1 3 a/b -8 firmware',
    'DSSEv1 3 a/b 99999999999999999999 firmware',
  ];
  for (const one of bad) {
    assert.throws(() => dsse.compose(text(one), signer.terms), code('firmware.malformed'), JSON.stringify(one));
  }
});

test('a payload beyond the bound of a subject is told to be attested by its digest', async () => {
  const large = { size: 4 * 1024 * 1024 + 1, read: async (_: number, length: number) => new Uint8Array(length) };
  await assert.rejects(dsse.read(large), code('firmware.malformed', 'payload'));
  const image = { size: 2 ** 40, read: () => Promise.reject(new Error('read')) };
  await assert.rejects(dsse.read(image), code('firmware.malformed', 'payload'));
});

test('parameters that are not those of a payload or a statement are refused by name', async () => {
  const refuses = async (parameters: Record<string, string>, field: string) =>
    assert.rejects(
      async () => dsse.prepare?.(imageOf(text('x')), parameters),
      code('firmware.parameter', field),
      field,
    );
  await refuses({}, 'payloadType');
  await refuses({ payloadType: 'a/b', predicateType: 'spdx' }, 'payloadType');
  await refuses({ predicateType: 'spdx', name: 'a' }, 'predicate');
  await refuses({ predicateType: 'spdx', predicate: '{}' }, 'name');
  await refuses({ payloadType: 'a/b', version: '1' }, 'version');
  await assert.rejects(
    async () => dsse.prepare?.(imageOf(text('x')), { predicateType: 'spdx', predicate: '{"a":1,"a":2}', name: 'a' }),
    code('firmware.malformed', 'predicate'),
  );
});

test('base64 has one spelling in each alphabet', () => {
  const envelope = (payload: string) => text(JSON.stringify({ payload, payloadType: 'a/b', signatures: [] }));
  for (const payload of ['+/8=', '-_8=', '-_8', '+/8', '']) {
    assert.equal(toBase64(readDsseEnvelope(envelope(payload)).payload), payload === '' ? '' : '+/8=');
  }
  for (const payload of ['+_8=', '+/9=', '+/8==', '+/8 =', '+', '*', '+/8=\n', '====', '=']) {
    assert.throws(() => readDsseEnvelope(envelope(payload)), code('firmware.malformed', 'payload'), payload);
  }
});

/** Far above the milliseconds that a reading takes. */
const MOST_MS = 3000;

/** Runs a reader of bytes from outside, which may refuse and must do nothing else. */
async function survives(run: () => unknown): Promise<void> {
  const start = process.hrtime.bigint();
  try {
    await run();
  } catch (error) {
    assert.ok(
      error instanceof KeysteadError && /^firmware\.(malformed|signed-already)$/.test(error.code),
      String(error),
    );
  }
  assert.ok(Number(process.hrtime.bigint() - start) / 1e6 < MOST_MS);
}

test('whatever bytes come, an envelope is read or refused', async () => {
  const envelope = dsseEnvelope({
    payloadType: 'a/b',
    payload: statement(),
    signatures: [{ keyid: 'k', sig: text('s') }],
  });
  const subject = pae({ payloadType: 'application/vnd.in-toto+json', payload: statement() });
  const broken = (source: Uint8Array) =>
    fc.array(fc.tuple(fc.nat(source.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
      const bytes = Uint8Array.from(source);
      for (const [index, octet] of changes) bytes[index] = octet;
      return bytes;
    });
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.json().map(text), broken(envelope), broken(subject)),
      async (bytes) => {
        await survives(() => readDsseEnvelope(bytes));
        await survives(() => dsse.claims(bytes));
        await survives(() => dsse.read(imageOf(bytes)));
      },
    ),
    { numRuns: 500 },
  );
  const deep = '['.repeat(1_000_000);
  for (const hostile of [deep, `{"_type":"https://in-toto.io/Statement/v1","a":${deep}`, '{"a":'.repeat(500_000)]) {
    await survives(() => readDsseEnvelope(text(hostile)));
    await survives(() => dsse.read(imageOf(text(hostile))));
    await survives(() => dsse.claims(pae({ payloadType: 'application/vnd.in-toto+json', payload: text(hostile) })));
  }
});

test('an encoding is read back to what it was made of', () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[\x21-\x7e]{1,255}$/),
      fc.uint8Array({ maxLength: 400 }),
      (payloadType, payload) => {
        const read = readPae(pae({ payloadType, payload }));
        assert.equal(read.payloadType, payloadType);
        assert.deepEqual(new Uint8Array(read.payload), payload);
      },
    ),
  );
});
