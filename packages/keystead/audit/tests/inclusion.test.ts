import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import fc from 'fast-check';
import { formatTlogProof, type InclusionProof, proofFor, verifyProof } from '../index.ts';
import { LogKeys, World } from './world.ts';

const code =
  (expected: string) =>
  (error: unknown): boolean =>
    error instanceof KeysteadError && error.code === expected;

test('the proof of an entry verifies offline with nothing but the keys (TEST-KEY-26)', async () => {
  using world = new World();
  await world.publish(300, 250);
  for (const seq of [0, 255, 256, 300, 549]) {
    const proof = JSON.parse(JSON.stringify(await proofFor(world.dir, seq, world.keys.keys)));
    const { entry, checkpoint } = verifyProof(proof, world.keys.keys);
    assert.deepEqual([entry.seq, entry.requestId, checkpoint.size], [seq, `request-${seq}`, 550]);
    assert.equal(checkpoint.timestamp, Math.floor(world.clock.now().getTime() / 1000));
    assert.throws(() => verifyProof(proof, new LogKeys().keys), code('note.unknown-key'));
  }
});

test('a proof in which anything was changed does not verify', async () => {
  using world = new World();
  await world.publish(20);
  const { keys } = world.keys;
  const proof = await proofFor(world.dir, 7, keys);
  const other = await proofFor(world.dir, 8, keys);
  const bad: unknown[] = [
    { ...proof, index: 8 },
    { ...proof, entry: other.entry },
    { ...proof, entry: proof.entry.replace('done', 'none') },
    { ...proof, hashes: proof.hashes.slice(1) },
    { ...proof, hashes: [...proof.hashes, proof.hashes[0]] },
    { ...proof, hashes: proof.hashes.with(0, other.hashes[0] ?? '') },
    { ...proof, hashes: ['x'] },
    { ...proof, more: 1 },
    { ...proof, format: 'keystead-log-proof/2' },
    null,
  ];
  for (const one of bad) assert.throws(() => verifyProof(one, keys), code('log.proof-invalid'), JSON.stringify(one));
  const moved = { ...proof, checkpoint: proof.checkpoint.replace('\n20\n', '\n21\n') };
  assert.throws(() => verifyProof(moved, keys), code('note.signature-invalid'));
  fc.assert(
    fc.property(fc.anything(), (one) => {
      assert.throws(() => verifyProof(one, keys), KeysteadError);
    }),
  );
});

test('an entry that no checkpoint covers yet has no proof', async () => {
  using world = new World();
  await assert.rejects(proofFor(world.dir, 0, world.keys.keys), code('log.out-of-range'));
  await world.publish(3);
  world.append(1);
  await assert.rejects(proofFor(world.dir, 3, world.keys.keys), code('log.out-of-range'));
  const covered = world.publisher.covered(3);
  assert.equal((await covered).size, 4);
  assert.equal((await proofFor(world.dir, 3, world.keys.keys)).index, 3);
});

test('damaged files give no proof', async () => {
  using world = new World();
  await world.publish(20);
  const bundle = world.file('tile/entries/000.p/20');
  writeFileSync(join(world.dir, 'tile/entries/000.p/20'), bundle.subarray(0, 50));
  await assert.rejects(proofFor(world.dir, 7, world.keys.keys), code('log.malformed'));
  writeFileSync(join(world.dir, 'tile/entries/000.p/20'), bundle);
  const tile = world.file('tile/0/000.p/20');
  writeFileSync(
    join(world.dir, 'tile/0/000.p/20'),
    tile.map((byte) => byte ^ 1),
  );
  await assert.rejects(proofFor(world.dir, 7, world.keys.keys), code('log.proof-invalid'));
});

test('the proof is also text in the form of c2sp.org/tlog-proof', async () => {
  using world = new World();
  await world.publish(5);
  const proof: InclusionProof = await proofFor(world.dir, 2, world.keys.keys);
  const text = formatTlogProof(proof);
  const [head, index, ...rest] = text.split('\n');
  assert.deepEqual([head, index], ['c2sp.org/tlog-proof@v1', 'index 2']);
  assert.deepEqual(rest.slice(0, proof.hashes.length + 1), [...proof.hashes, '']);
  assert.ok(text.endsWith(`\n\n${world.file('checkpoint').toString()}`));
});
