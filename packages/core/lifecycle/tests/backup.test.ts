import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { canonicalJson, toBase64 } from '@keystead/core/bytes';
import { ageRecipientOf, generateSoftwareKey, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import {
  type BackupManifest,
  type BackupPolicy,
  commitmentOf,
  demoPolicy,
  formatManifest,
  MANIFEST_FORMAT,
  openShare,
  type Policy,
  parseManifest,
  requireMember,
  requireNoKey,
  shareText,
} from '../index.ts';

const recipient = (): string => ageRecipientOf(generateSoftwareKey('P-256').spki);
const people = (['ann', 'ben', 'cid'] as const).map((name) => ({
  name,
  roles: ['custodian'] as const,
  spki: generateSoftwareKey('P-256').spki,
}));
const ada = { name: 'ada', roles: ['ca-operator'] as const, spki: generateSoftwareKey('P-256').spki };
const custodians = people.map(({ name }) => ({ name, recipient: recipient() }));
const policyWith = (backup: BackupPolicy, more: Partial<Parameters<typeof demoPolicy>[0]> = {}): Policy =>
  demoPolicy({ operators: [ada, ...people], issued: new Date('2026-03-01T00:00:00Z'), backup, ...more });

/** A checksum that does not fit, whatever the right one is. */
const otherEnd = (recipient: string): string => recipient.slice(0, -1) + (recipient.endsWith('q') ? 'p' : 'q');

test('a policy names custodians who are people in that role, each with a key of their own', () => {
  assert.equal(policyWith({ threshold: 2, custodians }).backup?.threshold, 2);
  const [ann, ben] = custodians;
  assert.ok(ann && ben);
  const refused: [string, BackupPolicy, string][] = [
    ['policy.backup-custodian', { threshold: 2, custodians: [ann, { ...ben, name: 'zoe' }] }, 'backup.custodians[1]'],
    ['policy.backup-custodian', { threshold: 2, custodians: [ann, { ...ben, name: 'ada' }] }, 'backup.custodians[1]'],
    [
      'policy.backup-custodian',
      { threshold: 2, custodians: [ann, { ...ann, recipient: ben.recipient }] },
      'backup.custodians[1]',
    ],
    [
      'policy.backup-custodian',
      { threshold: 2, custodians: [ann, { ...ben, recipient: ann.recipient }] },
      'backup.custodians[1]',
    ],
    ['policy.backup-threshold', { threshold: 3, custodians: [ann, ben] }, 'backup.threshold'],
    ['policy.malformed', { threshold: 1, custodians: [ann, ben] }, 'backup.threshold'],
    ['policy.malformed', { threshold: 2, custodians: [ann] }, 'backup.custodians'],
    [
      'backup.recipient-malformed',
      { threshold: 2, custodians: [ann, { ...ben, recipient: otherEnd(ben.recipient) }] },
      'backup.custodians[1].recipient',
    ],
  ];
  for (const [code, backup, field] of refused) assert.throws(() => policyWith(backup), { code, field });
});

test('TEST-KEY-20 a file of keys has no place in a backup, whatever it is called and whatever is in it', () => {
  for (const path of [
    'keyd/keystore.sealed',
    'trust/keystore.sealed',
    'ceremony/root.sealed',
    'trust/pki.key.pem',
    'ceremony/anything.key',
    'keyd/ceremonies/2/root-2.sealed',
    'trust/store.p12',
  ]) {
    assert.throws(() => requireMember(path), { code: 'backup.signing-key-forbidden', field: path });
  }
  for (const path of [
    'operators/pki.pem',
    'keyd/other',
    '../trust/root.pem',
    'trust/../keyd/journal',
    'trust/a/b',
    'keyd/ceremonies/0/bundle.json',
    'keyd/ceremonies/2/../journal',
    'keyd/ceremonies/x/bundle.json',
    '',
  ]) {
    assert.throws(() => requireMember(path), { code: 'backup.member-unknown' });
  }
  for (const text of [
    '-----BEGIN PRIVATE KEY-----\nAAAA',
    '-----BEGIN ENCRYPTED PRIVATE KEY-----',
    '-----BEGIN EC PRIVATE KEY-----',
    'x AGE-SECRET-KEY-1QQQ',
    '{"format":"keystead sealed keystore"}',
  ]) {
    assert.throws(() => requireNoKey('trust/root.pem', Buffer.from(text)), { code: 'backup.signing-key-forbidden' });
  }
  requireNoKey('trust/root.pem', Buffer.from('-----BEGIN CERTIFICATE-----'));
  // keyd's copies of later ceremonies are public files.
  for (const name of ['bundle.json', 'transcript.jsonl', 'root-1-new-with-old.pem'])
    requireMember(`keyd/ceremonies/2/${name}`);
});

let manifest: BackupManifest;
before(() => {
  manifest = {
    format: MANIFEST_FORMAT,
    backupId: '00'.repeat(16),
    createdAt: '2026-03-01T00:00:00.000Z',
    createdBy: 'ada',
    requestId: 'r',
    software: 's',
    logOrigin: 'o',
    policySha256: '00'.repeat(32),
    checkpoint: null,
    payload: { bytes: 5, chunkBytes: 1024 * 1024, chunksSha256: '00'.repeat(32), recipient: 'age1' },
    members: [{ path: 'keyd/journal', bytes: 0, sha256: '00'.repeat(32) }],
    threshold: 2,
    custodians: custodians.map(({ name, recipient: to }, at) => ({
      name,
      recipient: to,
      index: at + 1,
      commitment: '00'.repeat(32),
      share: 'AAAA',
    })),
    signer: { certificate: 'AAAA', issuer: 'AAAA' },
  };
});

test('a manifest has one spelling, and no manifest lists a file of keys', () => {
  const bytes = Buffer.from(formatManifest(manifest));
  assert.deepEqual(parseManifest(bytes), manifest);
  assert.throws(() => parseManifest(Buffer.from(JSON.stringify(manifest, null, 1))), { code: 'backup.malformed' });
  const listed = { ...manifest, members: [{ path: 'keyd/keystore.sealed', bytes: 0, sha256: '00'.repeat(32) }] };
  assert.throws(() => parseManifest(Buffer.from(canonicalJson(listed))), { code: 'backup.signing-key-forbidden' });
  const loose = { ...manifest, signer: { certificate: 'AAB=', issuer: 'AAAA' } };
  assert.throws(() => parseManifest(Buffer.from(canonicalJson(loose))), { code: 'backup.malformed' });
  for (const other of [
    { ...manifest, members: [manifest.members[0], manifest.members[0]] },
    { ...manifest, custodians: manifest.custodians.toReversed() },
    { ...manifest, threshold: 4 },
    { ...manifest, more: 1 },
  ]) {
    assert.throws(() => parseManifest(Buffer.from(canonicalJson(other as never))), { code: 'backup.malformed' });
  }
});

test('whatever the bytes of a manifest are, they are read or refused by name', () => {
  const good = formatManifest(manifest);
  const read = (bytes: Uint8Array): void => {
    try {
      parseManifest(bytes);
    } catch (error) {
      assert.ok(error instanceof KeysteadError, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), read));
  fc.assert(fc.property(fc.json(), (text) => read(Buffer.from(text))));
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.string({ maxLength: 3 }), (at, text) =>
      read(Buffer.from(good.slice(0, at) + text + good.slice(at + 1))),
    ),
  );
});

test('a share says where it belongs, and an altered one is told from the one that was made', () => {
  const facts = { backupId: manifest.backupId, custodian: 'ann', index: 1, of: 3, threshold: 2 };
  const text = shareText(facts, SecretBytes.random(75));
  const [ann, ...rest] = manifest.custodians;
  assert.ok(ann);
  const made = { ...manifest, custodians: [{ ...ann, commitment: commitmentOf(text) }, ...rest] };
  assert.equal(openShare(text, made).custodian, 'ann');
  assert.throws(() => openShare(text, manifest), { code: 'backup.share-altered', seen: 'ann' });
  assert.throws(() => openShare(text, { ...made, backupId: '11'.repeat(16) }), { code: 'backup.share-foreign' });
  const stranger = shareText({ ...facts, custodian: 'zoe' }, SecretBytes.random(75));
  assert.throws(() => openShare(stranger, made), { code: 'backup.custodian-unknown', seen: 'zoe' });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.throws(() => openShare(SecretBytes.copy(bytes), made), { code: 'backup.share-malformed' });
    }),
  );
  // An error never quotes the share.
  const secret = toBase64(new Uint8Array(75).fill(7));
  const shown = shareText(facts, SecretBytes.copy(new Uint8Array(75).fill(7)));
  assert.throws(
    () => openShare(shown, manifest),
    (error) => !JSON.stringify(error).includes(secret) && !String(error).includes(secret),
  );
});
