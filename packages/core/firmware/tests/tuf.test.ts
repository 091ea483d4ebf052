import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { type DerSpki, fromHex, type JsonValue, toHex } from '@keystead/core/bytes';
import { generateSoftwareKey, type KeyAlgorithm, type Signer, softwareSigner } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { imageOf } from '../image.ts';
import {
  envelopeBytes,
  joinEnvelopes,
  nextSnapshot,
  nextTimestamp,
  parseSubject,
  proposeRoot,
  readEnvelope,
  readRole,
  requireNextRoot,
  signedBytes,
  signersOf,
  type TufRoot,
  type TufTargets,
  tuf,
  tufCommon,
  tufKeyId,
  tufKeyOf,
  tufSubject,
  withSignature,
} from '../tuf/index.ts';

const now = new Date('2026-11-01T00:00:00Z');
const year = new Date('2027-11-01T00:00:00Z');
const key = (algorithm: Exclude<KeyAlgorithm, 'RSA-2048'> = 'Ed25519'): Signer =>
  softwareSigner(algorithm, generateSoftwareKey(algorithm).pkcs8);
const code = (expected: string, field?: RegExp) => (error: unknown) =>
  error instanceof KeysteadError && error.code === expected && (field === undefined || field.test(error.message));

const [ada, bob, eve, online] = [key('P-256'), key('P-384'), key(), key('P-256')];
const of = (keys: readonly Signer[], threshold: number) => ({ keys: keys.map(({ spki }) => spki), threshold });
const roles = { root: of([ada, bob], 2), targets: of([eve], 1), snapshot: of([online], 1), timestamp: of([online], 1) };
const root = proposeRoot(undefined, roles, { expires: year, now });
const targets: TufTargets = {
  _type: 'targets',
  ...tufCommon(4, year),
  targets: { 'boot/a.bin': { length: 3, hashes: { sha256: '0'.repeat(64) }, custom: { product: 'pump' } } },
};

async function signed(content: TufRoot | TufTargets, ...signers: readonly Signer[]): Promise<Uint8Array> {
  const subject = tufSubject(content);
  let envelope = readEnvelope(subject);
  for (const signer of signers) {
    envelope = withSignature(envelope, tufKeyId(tufKeyOf(signer.spki)), await signer.sign(signedBytes(subject)));
  }
  return envelopeBytes(envelope);
}

/** The encoding as OLPC's page describes it, written here a second time. */
function olpc(value: JsonValue | undefined): string {
  if (typeof value === 'string') return `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
  if (typeof value !== 'object' || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(olpc).join(',')}]`;
  const members = Object.entries(value as Record<string, JsonValue>).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${olpc(name)}:${olpc(member)}`).join(',')}}`;
}

test('the signed bytes are OLPC Canonical JSON, whatever backslashes, quotes and line feeds stand in a string', () => {
  const character = fc.constantFrom('\\', '"', 'n', '\n', 'u', 'é', '😀', ' ', '/', '\u2028', '\u007f');
  const text = fc.array(character, { maxLength: 12 }).map((parts) => parts.join(''));
  const value = fc.dictionary(
    fc.constantFrom('a', 'B', 'n\\', '"', 'ab'),
    fc.oneof(text, fc.maxSafeInteger(), fc.boolean()),
  );
  fc.assert(
    fc.property(value, (object) => {
      assert.equal(Buffer.from(signedBytes(tufSubject(object))).toString(), olpc(object));
    }),
  );
  assert.equal(Buffer.from(signedBytes(tufSubject(root))).toString(), olpc(root as JsonValue));
});

test('what the encodings disagree on is refused: fractions, large numbers, control characters, names outside ASCII', () => {
  for (const value of [{ a: 1.5 }, { a: 2 ** 53 }, { a: '\r' }, { a: '\0' }, { é: 1 }, { a: '\ud800' }]) {
    assert.throws(() => tufSubject(value), code('firmware.malformed'), JSON.stringify(value));
  }
});

test('a key id is SHA-256 of the canonical JSON of the key, here that of RFC 8032 test 1', () => {
  const spki = fromHex('302a300506032b6570032100d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  const text =
    '{"keytype":"ed25519","keyval":{"public":"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"},"scheme":"ed25519"}';
  const id = createHash('sha256').update(text).digest('hex');
  assert.equal(tufKeyId(tufKeyOf(spki as DerSpki)), id);
});

test('a format reads root and targets, composes what TUF signs, and puts signatures of several keys together', async () => {
  const half = await signed(root, ada);
  const reading = await tuf.read(imageOf(half));
  assert.deepEqual([reading.signatures, reading.version, reading.securityCounter, reading.product], [1, '1', 1, null]);
  assert.deepEqual(tuf.claims(tufSubject(targets)), { product: 'pump', version: '4', securityCounter: 4 });
  const joined = joinEnvelopes([readRole('root', half), readRole('root', await signed(root, bob))]);
  assert.equal(signersOf(joined, root, 'root').length, 2);
  requireNextRoot(undefined, joined);
  // The same key again takes the place of its signature.
  assert.equal(readEnvelope(await signed(root, ada, bob, ada)).signatures.length, 2);
});

test('snapshot and timestamp are no orders of people', async () => {
  const snapshot = nextSnapshot(
    root,
    await signed(targets, eve),
    undefined,
    { snapshotSeconds: 60, timestampSeconds: 60 },
    now,
  );
  assert.ok(snapshot !== undefined);
  assert.throws(() => tuf.claims(tufSubject(snapshot)), code('firmware.malformed', /_type/));
});

test('a root is refused with a threshold above its keys, a key twice, a wrong id, a key without a role, or one of root elsewhere', () => {
  const bad = (
    change: (draft: TufRoot & { roles: Record<string, { keyids: string[]; threshold: number }> }) => void,
  ): Uint8Array => {
    const draft = structuredClone(root);
    change(draft);
    return new Uint8Array(Buffer.from(JSON.stringify(draft)));
  };
  const [first = '', second = ''] = root.roles.root.keyids;
  for (const [why, bytes] of [
    [/threshold.*3 of 2/, bad(({ roles: { root: role } }) => Object.assign(role, { threshold: 3 }))],
    [/a key twice/, bad(({ roles: { root: role } }) => Object.assign(role, { keyids: [first, first] }))],
    [/none of the keys/, bad(({ roles: { root: role } }) => Object.assign(role, { keyids: [first, '0'.repeat(64)] }))],
    [/of no role/, bad(({ roles: { root: role } }) => Object.assign(role, { keyids: [first], threshold: 1 }))],
    [/of the root/, bad(({ roles: { targets: role } }) => Object.assign(role, { keyids: [second] }))],
    [/online then/, bad(({ roles: { targets: role } }) => Object.assign(role, { keyids: root.roles.snapshot.keyids }))],
    [/with the id/, bad((draft) => Object.assign(draft.keys, { [first]: root.keys[second] }))],
    [/consistent_snapshot/, bad((draft) => Object.assign(draft, { consistent_snapshot: false }))],
    [/spec_version/, bad((draft) => Object.assign(draft, { spec_version: '2.0.0' }))],
    [/signed/, bad((draft) => Object.assign(draft, { more: 1 }))],
  ] as const) {
    assert.throws(() => readEnvelope(bytes), code('firmware.malformed', why), String(why));
  }
});

test('a key in a second spelling is refused, so that it cannot count twice', () => {
  const [id = ''] = root.roles.root.keyids;
  const draft = structuredClone(root);
  const found = draft.keys[id];
  assert.ok(found !== undefined);
  const again = { ...found, keyval: { public: found.keyval.public.trimEnd() } };
  delete draft.keys[id];
  const other = tufKeyId(again as typeof found);
  Object.assign(draft.keys, { [other]: again });
  draft.roles.root.keyids[0] = other;
  assert.throws(() => readEnvelope(Buffer.from(JSON.stringify(draft))), code('firmware.malformed', /another spelling/));
});

test('an RSA key is unsuitable, and says what is not', () => {
  assert.throws(() => tufKeyOf(key('RSA-3072').spki), code('firmware.key-unsuitable', /RSA-3072.*Ed25519/));
});

test('targets are for one product, by paths that are nothing else to a file system or a URL', () => {
  const file = { length: 1, hashes: { sha256: '1'.repeat(64) } };
  for (const path of [
    '../a',
    '/a',
    'a//b',
    'a/',
    '.a',
    'a/../b',
    'a%2fb',
    'a\\b',
    'a b',
    '',
    '__proto__/..',
    'a?b',
    'é',
  ]) {
    const text = JSON.stringify({ ...targets, targets: { [path]: file } });
    assert.throws(() => readEnvelope(Buffer.from(text)), code('firmware.malformed'), path);
  }
  for (const custom of [{ product: 'other' }, undefined]) {
    const two = { ...targets, targets: { ...targets.targets, b: { ...file, custom } } };
    assert.throws(() => readEnvelope(Buffer.from(JSON.stringify(two))), code('firmware.malformed', /one product/));
  }
});

test('keyd takes a subject in its one encoding alone: no member twice, no blanks, nothing behind', () => {
  const text = Buffer.from(tufSubject(targets)).toString();
  for (const other of [
    ` ${text}`,
    `${text}\n`,
    text.replace('{', '{"_type":"root",'),
    text.replace('"targets":{', '"targets":{"__proto__":1,'),
  ]) {
    assert.throws(() => parseSubject(Buffer.from(other)), code('firmware.malformed'), other.slice(0, 60));
  }
  assert.equal(parseSubject(Buffer.from(text))._type, 'targets');
});

test('a status goes forward only: older targets, another content of one version, too few signatures, expired ones are refused', async () => {
  const policy = { snapshotSeconds: 1000, timestampSeconds: 100 };
  const bytes = await signed(targets, eve);
  const first = nextSnapshot(root, bytes, undefined, policy, now);
  assert.ok(first !== undefined);
  const subject = tufSubject(first);
  const envelope = withSignature(
    { signed: first, subject, signatures: [] },
    tufKeyId(tufKeyOf(online.spki)),
    await online.sign(signedBytes(subject)),
  );
  assert.equal(nextSnapshot(root, bytes, envelope, policy, now), undefined);
  // Half of its time is left, and the timestamp that would name it ends later: a client would refuse both by then.
  const ends = new Date(Date.parse(first.expires));
  assert.equal(nextSnapshot(root, bytes, envelope, policy, now, { until: ends }), undefined);
  const until = new Date(ends.getTime() + 1000);
  assert.equal(nextSnapshot(root, bytes, envelope, policy, now, { until })?.version, 2);
  const late = new Date(now.getTime() + 501_000);
  assert.equal(nextSnapshot(root, bytes, envelope, policy, late)?.version, 2);
  const refusedBy = async (content: TufTargets, signer: Signer, expected: string, at = now) => {
    const text = await signed(content, signer);
    assert.throws(() => nextSnapshot(root, text, envelope, policy, at), code(expected));
  };
  await refusedBy({ ...targets, version: 3 }, eve, 'firmware.tuf-version');
  await refusedBy({ ...targets, targets: {} }, eve, 'firmware.tuf-version');
  await refusedBy({ ...targets, version: 5 }, online, 'firmware.tuf-threshold');
  await refusedBy({ ...targets, version: 5, expires: '2026-10-31T00:00:00Z' }, eve, 'firmware.tuf-expired');

  const snapshot = envelopeBytes(envelope);
  const timestamp = nextTimestamp(root, snapshot, undefined, policy, now);
  assert.equal(timestamp.expires, '2026-11-01T00:01:40Z');
  const ahead = { ...timestamp, meta: { 'snapshot.json': { ...timestamp.meta['snapshot.json'], version: 2 } } };
  assert.throws(() => nextTimestamp(root, snapshot, ahead, policy, now), code('firmware.tuf-version'));
});

test('whatever bytes come, the reader answers with its own error or with metadata that reads back', async () => {
  const seeds = [await signed(root, ada, bob), await signed(targets, eve)];
  const read = (bytes: Uint8Array): void => {
    try {
      const envelope = readEnvelope(bytes);
      assert.equal(toHex(readEnvelope(envelopeBytes(envelope)).subject), toHex(envelope.subject));
    } catch (error) {
      if (!(error instanceof KeysteadError)) throw error;
      assert.equal(error.code, 'firmware.malformed');
    }
  };
  const change = fc.record({
    seed: fc.constantFrom(...seeds),
    at: fc.nat(),
    with: fc.uint8Array({ maxLength: 4 }),
    drop: fc.nat(8),
  });
  fc.assert(
    fc.property(change, ({ seed, at, with: put, drop }) => {
      const from = at % seed.length;
      read(new Uint8Array(Buffer.concat([seed.subarray(0, from), put, seed.subarray(from + drop)])));
    }),
    { numRuns: 1500 },
  );
  fc.assert(
    fc.property(fc.json(), (text) => read(Buffer.from(text))),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.json(), (text) => read(Buffer.from(`{"signed":${text},"signatures":[]}`))),
    { numRuns: 300 },
  );
  read(Buffer.from('['.repeat(3_000_000)));
  read(Buffer.from(`{"_type":"targets","a":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`));
  read(new Uint8Array(5_000_000).fill(0x20));
  read(Buffer.from(`{"_type":"targets","version":1e400,"a":"${'\\'.repeat(1_000_001)}"}`));
});

test('a root follows the very last one alone, and by the thresholds of both', async () => {
  const [carl, dora] = [key(), key()];
  const next = proposeRoot(root, { ...roles, root: of([carl, dora], 2) }, { expires: year, now });
  const follows = async (previous: TufRoot | undefined, content: TufRoot, ...signers: readonly Signer[]) =>
    requireNextRoot(previous, readRole('root', await signed(content, ...signers)));
  await follows(root, next, ada, bob, carl, dora);
  for (const few of [
    [carl, dora],
    [ada, bob],
    [ada, carl, dora],
    [ada, bob, carl],
  ]) {
    await assert.rejects(follows(root, next, ...few), code('firmware.tuf-threshold'));
  }
  const all = [ada, bob, carl, dora];
  for (const [previous, content] of [
    [undefined, next],
    [root, root],
    [root, { ...next, version: 3 }],
  ] as const) {
    await assert.rejects(follows(previous, content, ...all), code('firmware.tuf-version'));
  }
});
