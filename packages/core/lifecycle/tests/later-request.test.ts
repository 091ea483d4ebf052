import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { toPem } from '../../bytes/index.ts';
import { generateSoftwareKey, type Signer, softwareSigner, spkiSha256 } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { certificationRequest } from '../../x509/index.ts';
import {
  caKeyId,
  caOf,
  formatRenewal,
  generationOfIssuer,
  isIssuerId,
  issuerId,
  issuerKeyId,
  issuerOfKey,
  MOST_GENERATIONS,
  ONLINE_CAS,
  parseRenewal,
  type RenewalFacts,
  renewalCsr,
  rootId,
} from '../index.ts';

const signerOf = (): Signer => softwareSigner('P-256', generateSoftwareKey('P-256').pkcs8);
const evidence = signerOf();
const approved = spkiSha256(evidence.spki);
let facts: RenewalFacts;
let good: Uint8Array;

before(async () => {
  facts = {
    ca: 'operational',
    key: 'successor',
    createdAt: '2026-03-01T08:00:00.000Z',
    rootSha256: 'a'.repeat(64),
    transcriptSha256: 'b'.repeat(64),
    certificateRequest: toPem('CERTIFICATE REQUEST', await certificationRequest('ca-operational', signerOf())),
  };
  good = Buffer.from(await formatRenewal(facts, evidence));
});

/** Reads it, and takes nothing but the decoder's own errors. @returns whether it was taken. */
function takes(bytes: Uint8Array): boolean {
  try {
    parseRenewal(bytes, approved);
    return true;
  } catch (error) {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.match(error.code, /^ceremony\.request-(malformed|signature)$/);
    return false;
  }
}

test('a later request reads back as it was signed, with the certification request in it', () => {
  const { version, kind, signer, signature, ...read } = parseRenewal(good, approved);
  assert.deepEqual(read, facts);
  assert.deepEqual([version, kind], [1, 'intermediate']);
  assert.equal(toPem('CERTIFICATE REQUEST', renewalCsr(parseRenewal(good, approved))), facts.certificateRequest);
});

test('a later request of any facts reads back, and with any one octet changed it is refused', async () => {
  const hash = fc.stringMatching(/^[0-9a-f]{64}$/);
  const date = fc.date({ min: new Date('2026-01-01'), max: new Date('2100-01-01'), noInvalidDate: true });
  await fc.assert(
    fc.asyncProperty(
      fc.record({ ca: fc.constantFrom(...ONLINE_CAS), key: fc.constantFrom('same', 'successor'), rootSha256: hash }),
      date,
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (more, createdAt, at, xor) => {
        const wanted = { ...facts, ...more, createdAt: createdAt.toISOString() } as RenewalFacts;
        const bytes = Buffer.from(await formatRenewal(wanted, evidence));
        const read = parseRenewal(bytes, approved);
        assert.deepEqual([read.ca, read.key, read.createdAt], [wanted.ca, wanted.key, wanted.createdAt]);
        const changed = Uint8Array.from(bytes);
        const place = at % changed.length;
        changed[place] = (changed[place] ?? 0) ^ xor;
        assert.equal(takes(changed), false, `octet ${place}`);
      },
    ),
    { numRuns: 150 },
  );
});

test('whatever else comes as a later request is refused with its own error, in bounded time', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => assert.equal(takes(bytes), false)));
  fc.assert(fc.property(fc.json(), (text) => assert.equal(takes(Buffer.from(text)), false)));
  const fields = Object.keys(JSON.parse(Buffer.from(good).toString()) as object);
  fc.assert(
    fc.property(fc.constantFrom(...fields), fc.jsonValue(), (field, value) => {
      const changed = { ...(JSON.parse(Buffer.from(good).toString()) as object), [field]: value };
      const bytes = Buffer.from(`${JSON.stringify(changed, null, 2)}\n`);
      assert.equal(takes(bytes), Buffer.compare(bytes, good) === 0);
    }),
  );
  assert.equal(takes(new Uint8Array(300_000).fill(0x20)), false);
});

test('a later request in another form, signed by another key, or for another evidence key is refused by name', async () => {
  const refused = (bytes: Uint8Array, expected: object, key = approved) =>
    assert.throws(() => parseRenewal(bytes, key), expected);
  refused(Buffer.from(Buffer.from(good).toString().trim()), { code: 'ceremony.request-malformed', field: 'request' });
  const twice = Buffer.from(good).toString().replace('"ca": "operational"', '"ca": "server",\n  "ca": "operational"');
  refused(Buffer.from(twice), { code: 'ceremony.request-malformed', field: 'request' });
  const other = Buffer.from(await formatRenewal(facts, signerOf()));
  refused(other, { code: 'ceremony.request-signature', field: 'signer' });
  refused(good, { code: 'ceremony.request-signature', field: 'signer' }, 'c'.repeat(64) as typeof approved);
});

test('each key of a CA has one name, and the name leads back to it; no other text is a name', () => {
  fc.assert(
    fc.property(fc.constantFrom(...ONLINE_CAS), fc.integer({ min: 1, max: MOST_GENERATIONS }), (ca, generation) => {
      const id = issuerId(ca, generation);
      assert.ok(isIssuerId(id));
      assert.deepEqual([caOf(id), generationOfIssuer(id)], [ca, generation]);
      assert.equal(issuerKeyId(id), caKeyId(ca, generation));
      assert.equal(issuerOfKey(issuerKeyId(id)), id);
    }),
  );
  assert.deepEqual([issuerId('operational', 1), issuerId('operational', 2)], ['operational', 'operational.2']);
  assert.deepEqual([rootId('root', 1), rootId('signing-root', 3)], ['root', 'signing-root.3']);
  for (const text of [
    '',
    'root',
    'operational.',
    'operational.0',
    'operational.1',
    'operational.02',
    'operational.100',
    'operational.2 ',
    'Operational',
    '__proto__',
    'operational.2.crl',
  ]) {
    assert.equal(isIssuerId(text), false, text);
  }
  for (const id of [
    'evidence',
    'log',
    'ca-root',
    'ca-operational-1',
    'ca-operational-',
    'ca-operational-100',
    'log-cosign',
  ]) {
    assert.equal(issuerOfKey(id), undefined, id);
  }
});
