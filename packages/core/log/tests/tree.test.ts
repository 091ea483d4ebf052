import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fromHex, toHex } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  consistencyProof,
  emptyRoot,
  Frontier,
  type HashReader,
  inclusionProof,
  leafHash,
  verifyConsistency,
  verifyInclusion,
} from '@keystead/core/log';
import fc from 'fast-check';
import { naivePath, naiveProof, naiveRoot } from './naive-tree.ts';

/*
 * The vectors of Certificate Transparency (merkle_tree_test.cc; transparency-dev/merkle proof/verify_test.go):
 * eight leaves, the root of each prefix, and proofs in it.
 */
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(
  fromHex,
);
const ROOTS = [
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const INCLUSION: readonly [index: number, size: number, proof: string[]][] = [
  [0, 1, []],
  [
    0,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    5,
    8,
    [
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [2, 3, ['fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125']],
  [
    1,
    5,
    [
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
];
const CONSISTENCY: readonly [oldSize: number, newSize: number, proof: string[]][] = [
  [1, 1, []],
  [
    1,
    8,
    [
      '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7',
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4',
    ],
  ],
  [
    6,
    8,
    [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
  [
    2,
    5,
    [
      '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e',
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
    ],
  ],
  [
    6,
    7,
    [
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ],
  ],
];

/** The n-th root of the vectors, n from 1. */
const rootOf = (size: number): Uint8Array => fromHex(ROOTS[size - 1] ?? '');
const hex = (hashes: readonly Uint8Array[]): string[] => hashes.map(toHex);
/** Complete subtrees of a list of entries, by the naive tree. */
const reader =
  (entries: readonly Uint8Array[]): HashReader =>
  (height, index) =>
    naiveRoot(entries.slice(index * 2 ** height, (index + 1) * 2 ** height));

test('the empty tree and each prefix of the eight leaves have the roots of the Certificate Transparency vectors', () => {
  assert.equal(toHex(emptyRoot()), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  const frontier = new Frontier();
  assert.deepEqual(frontier.root(), emptyRoot());
  for (const [index, leaf] of LEAVES.entries()) {
    frontier.append(leafHash(leaf));
    assert.equal(toHex(frontier.root()), ROOTS[index]);
  }
});

test('inclusion proofs are those of the vectors, and no change of them verifies', async () => {
  for (const [index, size, expected] of INCLUSION) {
    const leaf = leafHash(LEAVES[index] ?? new Uint8Array());
    const proof = await inclusionProof(index, size, reader(LEAVES));
    assert.deepEqual(hex(proof), expected);
    assert.ok(verifyInclusion(leaf, index, size, proof, rootOf(size)));
    for (const [at] of proof.entries()) {
      const flipped = proof.map((hash, i) => (i === at ? hash.map((b, j) => (j === 0 ? b ^ 8 : b)) : hash));
      assert.ok(!verifyInclusion(leaf, index, size, flipped, rootOf(size)));
      assert.ok(!verifyInclusion(leaf, index, size, proof.toSpliced(at, 1), rootOf(size)));
      assert.ok(!verifyInclusion(leaf, index, size, proof.toSpliced(at, 0, rootOf(size)), rootOf(size)));
    }
    assert.ok(!verifyInclusion(leaf, index, size, [...proof, rootOf(size)], rootOf(size)));
    assert.ok(!verifyInclusion(leaf, index, size, [new Uint8Array(), ...proof], rootOf(size)));
    assert.ok(!verifyInclusion(leaf, index - 1, size, proof, rootOf(size)));
    assert.ok(!verifyInclusion(leaf, size === 1 ? 1 : index ^ 1, size, proof, rootOf(size)));
    assert.ok(!verifyInclusion(leaf, index, size * 2, proof, rootOf(size)));
    assert.ok(!verifyInclusion(Uint8Array.of(1, 2), index, size, proof, rootOf(size)));
    assert.ok(!verifyInclusion(leaf, index, size, proof, emptyRoot()));
  }
});

test('consistency proofs are those of the vectors, and no change of them verifies', async () => {
  for (const [oldSize, newSize, expected] of CONSISTENCY) {
    const proof = await consistencyProof(oldSize, newSize, reader(LEAVES));
    const [oldRoot, newRoot] = [rootOf(oldSize), rootOf(newSize)];
    assert.deepEqual(hex(proof), expected);
    assert.ok(verifyConsistency(oldSize, newSize, oldRoot, newRoot, proof));
    assert.ok(!verifyConsistency(oldSize, newSize, oldRoot, emptyRoot(), proof));
    assert.ok(!verifyConsistency(oldSize, newSize, emptyRoot(), newRoot, proof));
    assert.ok(!verifyConsistency(oldSize, newSize, oldRoot, newRoot, [...proof, newRoot]));
    assert.ok(!verifyConsistency(oldSize, newSize, oldRoot, newRoot, [oldRoot, ...proof]));
    if (proof.length === 0) continue;
    assert.ok(!verifyConsistency(oldSize, newSize, newRoot, oldRoot, proof));
    assert.ok(!verifyConsistency(oldSize + 1, newSize, oldRoot, newRoot, proof));
    assert.ok(!verifyConsistency(oldSize - 1, newSize, oldRoot, newRoot, proof));
    assert.ok(!verifyConsistency(oldSize, newSize * 2, oldRoot, newRoot, proof));
    assert.ok(!verifyConsistency(oldSize, newSize, oldRoot, newRoot, []));
    assert.ok(!verifyConsistency(oldSize, newSize, oldRoot, newRoot, proof.slice(1)));
    for (const [at] of proof.entries()) {
      const flipped = proof.map((hash, i) => (i === at ? hash.map((b, j) => (j === 31 ? b ^ 16 : b)) : hash));
      assert.ok(!verifyConsistency(oldSize, newSize, oldRoot, newRoot, flipped));
    }
  }
  // An empty tree is a prefix of every tree; time does not run backwards.
  assert.ok(verifyConsistency(0, 8, emptyRoot(), rootOf(8), []));
  assert.ok(!verifyConsistency(0, 8, emptyRoot(), rootOf(8), [rootOf(1)]));
  assert.ok(!verifyConsistency(8, 1, rootOf(8), rootOf(1), []));
});

test('a leaf hash is what sha256sum gives for a zero byte and the entry', () => {
  for (const leaf of [...LEAVES, Buffer.from('{"v":1}')]) {
    const sum = execFileSync('sha256sum', { input: Buffer.concat([Uint8Array.of(0), leaf]), encoding: 'utf8' });
    assert.equal(toHex(leafHash(leaf)), sum.slice(0, 64));
  }
});

const entriesOf = (size: number): Uint8Array[] => Array.from({ length: size }, (_, i) => Buffer.from(`entry ${i}`));

test('the frontier agrees with a naive recursive tree at every size', () => {
  const entries = entriesOf(300);
  const frontier = new Frontier();
  for (let size = 0; size <= entries.length; size++) {
    if (size > 0) frontier.append(leafHash(entries[size - 1] ?? new Uint8Array()));
    if (size % 7 === 0 || size < 40 || (size > 250 && size < 260)) {
      assert.deepEqual(frontier.root(), naiveRoot(entries.slice(0, size)));
    }
  }
});

test('a frontier that was stored and read again goes on the same way', () => {
  fc.assert(
    fc.property(fc.nat(200), fc.nat(100), (stored, more) => {
      const frontier = new Frontier();
      for (let i = 0; i < stored; i++) frontier.append(leafHash(Buffer.from(`${i}`)));
      const again = Frontier.fromJSON(JSON.parse(JSON.stringify(frontier)));
      const copy = frontier.clone();
      for (let i = 0; i < more; i++)
        for (const one of [frontier, again, copy]) one.append(leafHash(Buffer.from(`m${i}`)));
      assert.equal(again.size, stored + more);
      assert.deepEqual(again.root(), frontier.root());
      assert.deepEqual(copy.root(), frontier.root());
    }),
    { numRuns: 50 },
  );
});

test('a stored frontier of the wrong shape is refused', () => {
  const malformed = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'log.malformed';
  assert.throws(() => Frontier.from({ size: 3, hashes: [emptyRoot()] }), malformed);
  assert.throws(() => Frontier.from({ size: 1, hashes: [new Uint8Array(31)] }), malformed);
  assert.throws(() => Frontier.from({ size: -1, hashes: [] }), malformed);
  assert.throws(() => Frontier.from({ size: 2 ** 60, hashes: [emptyRoot()] }), malformed);
});

test('proofs of any tree are those of RFC 6962 word for word, and verify', async () => {
  const shape = fc.integer({ min: 1, max: 130 }).chain((size) => fc.tuple(fc.constant(size), fc.nat(size - 1)));
  await fc.assert(
    fc.asyncProperty(shape, async ([size, at]) => {
      const entries = entriesOf(size);
      const root = naiveRoot(entries);
      const path = await inclusionProof(at, size, reader(entries));
      assert.deepEqual(hex(path), hex(naivePath(at, entries)));
      assert.ok(verifyInclusion(leafHash(entries[at] ?? new Uint8Array()), at, size, path, root));
      assert.ok(!verifyInclusion(leafHash(Buffer.from('another')), at, size, path, root));
      const proof = await consistencyProof(at + 1, size, reader(entries));
      const oldRoot = naiveRoot(entries.slice(0, at + 1));
      assert.deepEqual(hex(proof), hex(naiveProof(at + 1, entries)));
      assert.ok(verifyConsistency(at + 1, size, oldRoot, root, proof));
    }),
    { numRuns: 60 },
  );
});

test('any garbage is no proof, and never an exception', () => {
  const hash = fc.uint8Array({ minLength: 0, maxLength: 33 });
  fc.assert(
    fc.property(
      hash,
      fc.integer(),
      fc.integer(),
      fc.array(hash, { maxLength: 70 }),
      hash,
      (leaf, i, n, proof, root) => {
        assert.equal(verifyInclusion(leaf, i, n, proof, root), false);
        if (i !== 0 && i !== n) assert.equal(verifyConsistency(i, n, leaf, root, proof), false);
      },
    ),
  );
});

test('a proof of what the tree does not hold is refused', async () => {
  const refused = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'log.out-of-range';
  await assert.rejects(inclusionProof(8, 8, reader(LEAVES)), refused);
  await assert.rejects(inclusionProof(-1, 8, reader(LEAVES)), refused);
  await assert.rejects(consistencyProof(9, 8, reader(LEAVES)), refused);
});
