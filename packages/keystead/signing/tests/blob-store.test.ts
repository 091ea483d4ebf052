import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { BlobStore } from '../blob-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'keystead-blobs-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const store = new BlobStore(join(folder, 'images'));
store.open();

const image = Buffer.alloc(3 * 1024 * 1024 + 17, 7);
const hash = toHex(sha256(image));
async function* pieces(bytes: Buffer, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('an image that comes in pieces is kept under its SHA-256, and the same again is the same file', async () => {
  assert.deepEqual(await store.take(pieces(image), { most: image.length }), { sha256: hash, bytes: image.length });
  assert.deepEqual(await store.take(pieces(image, 1000), { most: image.length, expected: hash }), {
    sha256: hash,
    bytes: image.length,
  });
  assert.deepEqual(readdirSync(join(folder, 'images')), [hash]);
  assert.equal(store.sizeOf(hash), image.length);
  await using kept = await store.read(hash);
  assert.equal(await kept.hash(), hash);
  assert.deepEqual(await kept.read(image.length - 5, 100), new Uint8Array(image.subarray(-5)));
});

test('an image of another hash than was told, or a larger one, or one that breaks off, leaves nothing behind', async () => {
  const other = Buffer.from('another image');
  await assert.rejects(store.take(pieces(other), { most: 100, expected: hash }), { code: 'signing.image-differs' });
  await assert.rejects(store.take(pieces(other), { most: other.length - 1 }), { code: 'signing.image-too-large' });
  async function* broken(): AsyncGenerator<Uint8Array> {
    yield other;
    throw new Error('the connection ended');
  }
  await assert.rejects(store.take(broken(), { most: 100 }), /the connection ended/);
  assert.deepEqual(readdirSync(join(folder, 'images')), [hash]);
});

test('what was changed on the disk is refused when it is used, and put right when it comes again', async () => {
  const path = store.path(hash);
  chmodSync(path, 0o600);
  writeFileSync(path, Buffer.alloc(image.length, 8));
  {
    await using kept = await store.read(hash);
    await assert.rejects(kept.verify(), { code: 'signing.image-changed' });
  }
  await store.take(pieces(image), { most: image.length, expected: hash });
  await using kept = await store.read(hash);
  await kept.verify();
});

test('a name that is no hash never becomes a path', async () => {
  for (const name of ['../keys', hash.toUpperCase(), `${hash}/..`, ''])
    await assert.rejects(async () => store.read(name), { code: 'signing.image-unknown' });
  await assert.rejects(store.read('0'.repeat(64)), { code: 'signing.image-unknown' });
});

test('what a kill left in the middle of an upload is removed at the next start', () => {
  writeFileSync(join(folder, 'images', '.incoming.0123456789abcdef.tmp'), 'half');
  new BlobStore(join(folder, 'images')).open();
  assert.deepEqual(readdirSync(join(folder, 'images')), [hash]);
});
