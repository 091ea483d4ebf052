import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { type DerCertificate, toHex } from '../../bytes/index.ts';
import { SimulatedClock } from '../../clock.ts';
import { generateSoftwareKey, type Signer, sha256, softwareSigner } from '../../crypto/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { readCertificate } from '../../x509/index.ts';
import {
  caProfile,
  certify,
  demoPolicy,
  profileOf,
  readChain,
  requireListed,
  Transcript,
  verifyTranscript,
} from '../index.ts';

const clock = new SimulatedClock(new Date('2026-01-05T08:00:00Z'));
const policy = demoPolicy({ operators: [], issued: clock.now() });
const signerOf = (algorithm: 'P-256' | 'P-384'): Signer =>
  softwareSigner(algorithm, generateSoftwareKey(algorithm).pkcs8);

const rootKey = signerOf('P-384');
const oneTimeKey = signerOf('P-384');
let root: DerCertificate;
let signer: DerCertificate;
let bytes: Uint8Array;
let signature: Uint8Array;

before(async () => {
  const now = clock.now();
  root = await certify({
    profile: caProfile(policy, 'root'),
    issuer: 'self',
    signer: rootKey,
    spki: rootKey.spki,
    urls: {},
    now,
  });
  const profile = profileOf(policy, 'transcript-signer');
  signer = await certify({ profile, issuer: root, signer: rootKey, spki: oneTimeKey.spki, urls: {}, now });
  bytes = example();
  signature = await oneTimeKey.sign(bytes);
});

function example(): Uint8Array {
  const transcript = new Transcript(clock);
  transcript.add('begin', {
    ceremony: 'founding',
    number: 1,
    policySha256: 'a'.repeat(64),
    requestSha256: 'b'.repeat(64),
    witnesses: ['Ada', 'Grace'],
  });
  clock.advance(1);
  transcript.add('network', { offline: true, seen: 'nothing' });
  transcript.add('root-key', { role: 'root', certificateSha256: 'c'.repeat(64) });
  transcript.add('network-after', { offline: true, seen: 'nothing' });
  transcript.add('end', { outputs: { 'bundle.json': toHex(sha256(new TextEncoder().encode('bundle'))) } });
  return transcript.bytes();
}

const lines = (): string[] => new TextDecoder().decode(bytes).trimEnd().split('\n');
const file = (changed: string[]): Uint8Array => new TextEncoder().encode(`${changed.join('\n')}\n`);
const verify = (changed: Uint8Array) => verifyTranscript(changed, signature, signer, root);

/** Expects the refusal to name the line. */
const refusedAt = (line: number, changed: string[]) =>
  assert.throws(() => verify(file(changed)), { code: 'transcript.altered', field: `line ${line}` });

/** An attacker who knows how the chain is made, and makes it again over other lines. */
function rechain(changed: string[]): string[] {
  let prev = '0'.repeat(64);
  return changed.map((text, index) => {
    const line = JSON.stringify({ ...(JSON.parse(text) as object), n: index + 1, prev });
    prev = toHex(sha256(new TextEncoder().encode(line)));
    return line;
  });
}

test('a transcript verifies and tells what was approved, by whom, and where', () => {
  const told = verify(bytes);
  assert.equal(told.policySha256, 'a'.repeat(64));
  assert.equal(told.requestSha256, 'b'.repeat(64));
  assert.deepEqual(told.witnesses, ['Ada', 'Grace']);
  assert.equal(told.offline, true);
  assert.equal(told.lines.length, 5);
});

test('TEST-KEY-02 an altered, dropped, added or reordered line of a transcript is named', () => {
  const [first = '', second = '', third = '', fourth = '', last = ''] = lines();
  refusedAt(2, [first.replace('Grace', 'Carol'), second, third, fourth, last]);
  refusedAt(3, [first, second, fourth, last]);
  refusedAt(1, [second, third, fourth, last]);
  refusedAt(3, [first, second, fourth, third, last]);
  refusedAt(4, [first, second, third, third, fourth, last]);
  refusedAt(4, [first, second, third, fourth]);
  refusedAt(3, [first, second, 'nonsense', fourth, last]);
});

test('lines whose chain was made again over a change are caught by the signature', () => {
  const forged = rechain(lines().map((line) => line.replace('Grace', 'Carol')));
  assert.equal(readChain(file(forged)).length, 5);
  assert.throws(() => verify(file(forged)), { code: 'transcript.signature-invalid', field: 'transcript.sig' });
  assert.throws(() => verify(file(rechain(lines().toSpliced(3, 1)))), { code: 'transcript.signature-invalid' });
});

test('TEST-KEY-02 any single changed byte of a transcript is caught, and never by another error', () => {
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ flip;
      assert.throws(
        () => verify(changed),
        (error: unknown) => error instanceof KeysteadError && error.code.startsWith('transcript.'),
      );
    }),
    { numRuns: 500 },
  );
});

test('whatever bytes are read as a chain, the answer is its lines or a named refusal', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      assert.throws(() => readChain(noise), { code: 'transcript.altered' });
    }),
  );
});

test('a transcript that is torn before its last line feed is refused', () => {
  assert.throws(() => verify(bytes.subarray(0, -1)), { code: 'transcript.altered', seen: 'a torn last line' });
});

test('a CA under the same root, whose key is online, cannot sign a transcript', async () => {
  const caKey = signerOf('P-256');
  const now = clock.now();
  const ca = await certify({
    profile: caProfile(policy, 'server'),
    issuer: root,
    signer: rootKey,
    spki: caKey.spki,
    urls: {},
    now,
  });
  const forged = await caKey.sign(bytes);
  assert.throws(() => verifyTranscript(bytes, forged, ca, root), {
    code: 'transcript.signature-invalid',
    field: 'transcript-signer.pem',
  });
});

test('a signer of another root, or one whose day was over when the ceremony ended, is refused', async () => {
  const foreignKey = signerOf('P-384');
  const now = clock.now();
  const profile = caProfile(policy, 'root');
  const foreign = await certify({ profile, issuer: 'self', signer: foreignKey, spki: foreignKey.spki, urls: {}, now });
  assert.throws(() => verifyTranscript(bytes, signature, signer, foreign), {
    code: 'transcript.signature-invalid',
    field: 'transcript-signer.pem',
  });
  clock.advance(2 * 86_400);
  const late = example();
  const lateSignature = await oneTimeKey.sign(late);
  assert.throws(() => verifyTranscript(late, lateSignature, signer, root), {
    code: 'transcript.signature-invalid',
    seen: 'expired',
  });
});

test('a file is checked against the list in the last line', () => {
  const told = verify(bytes);
  requireListed(told, 'bundle.json', new TextEncoder().encode('bundle'));
  assert.throws(() => requireListed(told, 'bundle.json', new TextEncoder().encode('bungle')), {
    code: 'bundle.altered',
    field: 'bundle.json',
  });
  assert.throws(() => requireListed(told, 'policy.json', new Uint8Array()), { code: 'bundle.altered' });
});

test('what a certificate promises ends with its issuer', async () => {
  const short = demoPolicy({ operators: [], issued: clock.now(), lifetimes: { 'root-ca': { seconds: 630_720_000 } } });
  clock.advance(86_400);
  const key = signerOf('P-256');
  const order = { issuer: root, signer: rootKey, spki: key.spki, urls: {}, now: clock.now() };
  const ca = await certify({ ...order, profile: caProfile(short, 'manufacturing') });
  assert.deepEqual(readCertificate(ca).notAfter, readCertificate(root).notAfter);
});
