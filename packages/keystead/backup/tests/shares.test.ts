import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ageRecipientOf, generateSoftwareKey, SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { BackupManifest, OpenedShare } from '@keystead/core/lifecycle';
import { Encrypter } from 'age-encryption';
import { combine, split } from 'shamir-secret-sharing';
import { decryptWith, encryptTo, newIdentity, P256Identity } from '../age.ts';
import { softwareIdentity } from '../custodian-key.ts';
import { combineShares, splitAmong } from '../shares.ts';
import { ageKeygen } from './bed.ts';

const manifestOf = (recipient: string, threshold: number): BackupManifest =>
  ({ threshold, payload: { recipient } }) as BackupManifest;

async function sharesOf(identity: SecretBytes, count: number, threshold: number): Promise<OpenedShare[]> {
  const parts = await split(
    identity.use((bytes) => Uint8Array.from(bytes)),
    count,
    threshold,
  );
  return parts.map((part, at) => ({ custodian: `c${at}`, index: at + 1, share: SecretBytes.take(part) }));
}

test('TEST-KEY-21 with one share too few every secret is as likely as every other, byte for byte', async () => {
  // Whoever holds M-1 shares may try each value that the missing one can have: out of these come all secrets, each once.
  for (const threshold of [2, 3, 4]) {
    const parts = await split(Uint8Array.of(0x5a), 5, threshold);
    const held = parts.slice(0, threshold - 1);
    const x = parts[threshold - 1]?.[1] ?? 0;
    const seen = new Set<number>();
    for (let y = 0; y < 256; y += 1) seen.add((await combine([...held, Uint8Array.of(y, x)]))[0] ?? -1);
    assert.equal(seen.size, 256, `${threshold} shares`);
  }
});

test('TEST-KEY-21 two backups of one secret have shares that are not alike, and neither have two equal bytes', async () => {
  const { identity } = await newIdentity();
  const first = await sharesOf(identity, 3, 2);
  const again = await sharesOf(identity, 3, 2);
  const bytes = [...first, ...again].map(({ share }) => share.use((b) => Buffer.from(b).toString('hex')));
  assert.equal(new Set(bytes).size, 6);
  // 64 equal bytes: were a share to show that they are, its own would be.
  const parts = await split(new Uint8Array(64).fill(7), 3, 2);
  for (const part of parts) assert.ok(new Set(part.subarray(0, 64)).size > 32);
});

test('TEST-KEY-21 any M of N shares give the identity, and fewer give an error and nothing else', async () => {
  const { identity, recipient } = await newIdentity();
  const manifest = manifestOf(recipient, 3);
  const shares = await sharesOf(identity, 5, 3);
  const text = identity.use((b) => Buffer.from(b).toString());
  for (let mask = 0; mask < 32; mask += 1) {
    const chosen = shares.filter((_, at) => ((mask >> at) & 1) === 1);
    const combined = combineShares(chosen, manifest);
    if (chosen.length < 3)
      await assert.rejects(combined, { code: 'backup.too-few-shares', seen: `${chosen.length} of 3` });
    else
      assert.equal(
        (await combined).use((b) => Buffer.from(b).toString()),
        text,
      );
  }
});

test('a share given twice, a share of another secret and a damaged one are told', async () => {
  const { identity, recipient } = await newIdentity();
  const manifest = manifestOf(recipient, 2);
  const [one, two] = await sharesOf(identity, 3, 2);
  const [other] = await sharesOf((await newIdentity()).identity, 3, 2);
  assert.ok(one && two && other);
  await assert.rejects(combineShares([one, one], manifest), { code: 'backup.share-repeated', seen: 'c0' });
  const foreign = { ...other, custodian: 'c2' };
  await assert.rejects(combineShares([one, foreign], manifest), { code: 'backup.shares-inconsistent' });
  const twin = { ...two, share: one.share };
  await assert.rejects(combineShares([one, twin], manifest), { code: 'backup.shares-inconsistent' });
});

test('each share is encrypted to its custodian: the age command opens one for a key of age-keygen', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-age-'));
  try {
    const alice = ageKeygen();
    const bob = generateSoftwareKey('P-256');
    const { identity } = await newIdentity();
    const custodians = [
      { name: 'alice', recipient: alice.recipient },
      { name: 'bob', recipient: ageRecipientOf(bob.spki) },
    ];
    const sealed = await splitAmong(identity, 'ab'.repeat(16), { threshold: 2, custodians });
    writeFileSync(join(folder, 'alice.key'), `${alice.identity}\n`, { mode: 0o600 });
    writeFileSync(join(folder, 'share.age'), sealed[0]?.share ?? '');
    const text = execFileSync('age', ['--decrypt', '--identity', 'alice.key', 'share.age'], {
      cwd: folder,
      encoding: 'utf8',
    });
    const { share, ...facts } = JSON.parse(text);
    assert.deepEqual(facts, {
      format: 'keystead-backup-share/1',
      backupId: 'ab'.repeat(16),
      custodian: 'alice',
      index: 1,
      of: 2,
      threshold: 2,
    });
    assert.equal(Buffer.from(share, 'base64').length, 75);
    // Bob's is not for alice, and the other way round.
    assert.equal(await decryptWith([alice.identity], sealed[1]?.share ?? new Uint8Array()), undefined);
    const bobs = softwareIdentity(bob.pkcs8);
    assert.equal(await decryptWith([bobs], sealed[0]?.share ?? new Uint8Array()), undefined);
    assert.ok((await decryptWith([bobs], sealed[1]?.share ?? new Uint8Array())) !== undefined);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('what typage encrypts to a P-256 recipient opens with an agreement that is not seen, and with no other', async () => {
  const key = generateSoftwareKey('P-256');
  const encrypter = new Encrypter();
  encrypter.addRecipient(ageRecipientOf(generateSoftwareKey('P-256').spki));
  encrypter.addRecipient(ageRecipientOf(key.spki));
  const file = await encrypter.encrypt('a share');
  const opened = await decryptWith([softwareIdentity(key.pkcs8)], file);
  assert.equal(
    opened?.use((bytes) => Buffer.from(bytes).toString()),
    'a share',
  );
  const other = softwareIdentity(generateSoftwareKey('P-256').pkcs8);
  assert.equal(await decryptWith([other], file), undefined);
  const { spki } = generateSoftwareKey('P-384');
  const noP256 = { keyAlgorithm: 'P-384' as const, spki, agree: () => Promise.reject(new Error('not asked')) };
  assert.throws(() => new P256Identity(noP256), { code: 'key.algorithm-mismatch' });
});

test('a custodian whose token is away is told so, and not that the key is wrong', async () => {
  const key = generateSoftwareKey('P-256');
  const file = await encryptTo(ageRecipientOf(key.spki), SecretBytes.random(8));
  const gone = new KeysteadError('keystore.closed', { field: 'token' });
  const away = { keyAlgorithm: 'P-256' as const, spki: key.spki, agree: () => Promise.reject(gone) };
  await assert.rejects(decryptWith([new P256Identity(away)], file), gone);
});
