import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateSoftwareKey, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type Consignment,
  factoryIssuerId,
  factoryOfIssuer,
  formatFactoryRequest,
  parseConsignment,
  parseFactoryRequest,
  signConsignment,
  verifyConsignment,
  verifyReceipt,
} from '@keystead/core/lifecycle';
import fc from 'fast-check';

const key = generateSoftwareKey('P-256');
const signer = softwareSigner('P-256', key.pkcs8);

const draft: Omit<Consignment, 'v'> = {
  factory: 'berlin-1',
  number: 1,
  previousSha256: null,
  madeAt: '2026-11-28T08:00:00.000Z',
  journal: { from: 1, to: 2 },
  units: [
    {
      deviceId: 'BER-0001',
      serial: '01' as never,
      spkiSha256: 'c'.repeat(64) as never,
      recordSha256: null,
      ticket: { id: 'T-1', sha256: 'a'.repeat(64) },
      keyOrigin: null,
      at: '2026-11-28T07:59:00.000Z',
    },
  ],
  tickets: [{ id: 'T-1', sha256: 'a'.repeat(64), units: 1, quota: 10 }],
  counter: { kind: 'none', value: 0 },
  checkpoint: null,
};

const code = (expected: string) => (error: unknown) => error instanceof KeysteadError && error.code === expected;

test('a consignment verifies by the key that signed it, and by no other', async () => {
  const text = await signConsignment(draft, signer);
  assert.deepEqual(verifyConsignment(text, signer.spki).content, { v: 1, ...draft });
  const other = softwareSigner('P-256', generateSoftwareKey('P-256').pkcs8);
  assert.throws(() => verifyConsignment(text, other.spki), code('factory.signature-invalid'));
});

test('the signature of one kind of document is none of another', async () => {
  const text = await signConsignment(draft, signer);
  assert.throws(() => verifyReceipt(text, signer.spki), code('factory.document-malformed'));
});

test('a consignment of which one byte is changed is refused, wherever it is', async () => {
  const text = await signConsignment(draft, signer);
  fc.assert(
    fc.property(fc.nat(text.length - 2), fc.integer({ min: 1, max: 127 }), (at, by) => {
      const changed = Buffer.from(text, 'latin1');
      changed[at] = ((changed[at] ?? 0) + by) % 128;
      try {
        verifyConsignment(changed.toString('latin1'), signer.spki);
      } catch (error) {
        return error instanceof KeysteadError && /^factory\./.test(error.code);
      }
      return false;
    }),
    { numRuns: 300 },
  );
});

test('a member that stands twice, or a field that nobody knows, is refused', async () => {
  const text = await signConsignment(draft, signer);
  const { payload } = JSON.parse(text) as { payload: string };
  const twice = Buffer.from(payload, 'base64url').toString('utf8').replace('{', '{"number":2,');
  const envelope = (content: string) =>
    JSON.stringify({ payload: Buffer.from(content).toString('base64url'), signature: 'AA' });
  assert.throws(() => parseConsignment(envelope(twice)), code('factory.document-malformed'));
  await assert.rejects(signConsignment({ ...draft, more: 1 } as never, signer), code('factory.document-malformed'));
});

test('a request of a factory node is read in the one form that is written', () => {
  const pem = '-----BEGIN CERTIFICATE REQUEST-----\nAA==\n-----END CERTIFICATE REQUEST-----\n';
  const request = {
    version: 1 as const,
    factory: 'berlin-1',
    createdAt: '2026-11-28T08:00:00.000Z',
    certificateRequests: { manufacturing: pem, server: pem, evidence: pem },
    log: { vkey: 'a', cosignVkey: 'b' },
    custody: 'sealed' as const,
    counter: 'none' as const,
  };
  const text = formatFactoryRequest(request);
  assert.deepEqual(parseFactoryRequest(Buffer.from(text)), request);
  for (const broken of [text.replace('berlin-1', 'headquarters'), text.trimEnd(), text.replace('{', '{"version":1,')]) {
    assert.throws(() => parseFactoryRequest(Buffer.from(broken)), code('factory.request-malformed'));
  }
});

test('the issuer id of a factory tells its name, and that of another issuer none', () => {
  assert.equal(factoryOfIssuer(factoryIssuerId('berlin-1')), 'berlin-1');
  for (const issuer of ['manufacturing', 'operational.2', 'factory.', 'factory.headquarters', 'factory.A']) {
    assert.equal(factoryOfIssuer(issuer), undefined);
  }
});
