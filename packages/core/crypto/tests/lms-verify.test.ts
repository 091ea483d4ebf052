import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { verifyHss, verifyLms } from '../index.ts';
import { foreignTree } from './lms-tree.ts';
import { hex } from './support.ts';

interface HssVector {
  readonly source: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
}
const VECTORS: readonly HssVector[] = JSON.parse(
  readFileSync(new URL('../../../../vectors/lms/hss.json', import.meta.url), 'utf8'),
);

test('the signatures of RFC 8554 and RFC 9858 verify, and none with a bit changed does', () => {
  assert.equal(VECTORS.length, 3);
  for (const { source, ...vector } of VECTORS) {
    const [key, message, signature] = [hex(vector.publicKey), hex(vector.message), hex(vector.signature)];
    assert.equal(verifyHss(key, message, signature), true, source);
    const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
      const copy = Uint8Array.from(bytes);
      copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return copy;
    };
    for (let bit = 0; bit < message.length * 8; bit += 401)
      assert.equal(verifyHss(key, flipped(message, bit), signature), false);
    for (let bit = 0; bit < key.length * 8; bit += 41)
      assert.equal(verifyHss(flipped(key, bit), message, signature), false);
    for (let bit = 0; bit < signature.length * 8; bit += 1601)
      assert.equal(verifyHss(key, message, flipped(signature, bit)), false, `bit ${bit} of ${source}`);
    for (let octet = 0; octet < 64; octet += 5)
      assert.equal(verifyHss(key, message, flipped(signature, octet * 8)), false);
    for (const length of [0, 1, 4, 8, signature.length - 1]) {
      assert.equal(verifyHss(key, message, signature.subarray(0, length)), false);
    }
    assert.equal(verifyHss(key, message, Buffer.concat([signature, Buffer.of(0)])), false);
    assert.equal(verifyHss(Buffer.concat([key, Buffer.of(0)]), message, signature), false);
    assert.equal(verifyHss(key.subarray(0, -1), message, signature), false);
  }
});

test('the lower tree of RFC 8554 verifies by itself, and an HSS key is no LMS key', () => {
  const [vector] = VECTORS;
  assert.ok(vector !== undefined);
  const signature = hex(vector.signature);
  // One signature of 1292 octets, the key of the lower tree of 56, and its signature.
  const below = signature.subarray(4 + 1292, 4 + 1292 + 56);
  const inner = signature.subarray(4 + 1292 + 56);
  assert.equal(verifyLms(below, hex(vector.message), inner), true);
  assert.equal(verifyLms(hex(vector.publicKey), hex(vector.message), inner), false);
});

test('each width and each hash verifies by the numbers of the tables in RFC 8554 and RFC 9858', () => {
  const message = Buffer.from('firmware');
  const sets = [
    ['sha256', 32, 5, 1],
    ['sha256', 24, 10, 5],
    ['shake256', 32, 15, 9],
    ['shake256', 24, 20, 13],
  ] as const;
  for (const [hash, n, type, oneTime] of sets) {
    for (const [i, w] of [1, 2, 4].entries()) {
      const tree = foreignTree(type, oneTime + i, hash, n, w);
      for (const q of [0, 13]) {
        assert.equal(verifyLms(tree.publicKey, message, tree.sign(q, message)), true, `${hash} ${n} ${w} ${q}`);
      }
      assert.equal(verifyLms(tree.publicKey, Buffer.from('other'), tree.sign(1, message)), false);
    }
  }
});

test('a tree and a one-time signature of two hashes or lengths are never taken together', () => {
  const message = Buffer.from('firmware');
  const tree = foreignTree(5, 3, 'sha256', 32, 4);
  const signature = tree.sign(3, message);
  assert.equal(verifyLms(tree.publicKey, message, signature), true);
  for (const other of [7, 11, 15, 0, 17, 255]) {
    const [key, changed] = [Buffer.from(tree.publicKey), Buffer.from(signature)];
    key.writeUInt32BE(other, 4);
    changed.writeUInt32BE(other, 4);
    assert.equal(verifyLms(key, message, changed), false);
  }
});

test('whatever bytes come, the answer is false, and soon', () => {
  const sources = VECTORS.map((vector) => [hex(vector.publicKey), hex(vector.signature)] as const);
  const start = process.hrtime.bigint();
  fc.assert(
    fc.property(
      fc.constantFrom(...sources),
      fc.nat(63),
      fc.nat(255),
      fc.uint8Array({ maxLength: 200 }),
      ([key, signature], at, octet, random) => {
        const changed = Uint8Array.from(signature);
        if (changed[at] === octet) return;
        changed[at] = octet;
        assert.equal(verifyHss(key, random, changed), false);
        assert.equal(verifyHss(random, random, signature), false);
        assert.equal(verifyLms(random, random, random), false);
        assert.equal(verifyHss(key, random, random), false);
      },
    ),
    { numRuns: 60 },
  );
  assert.ok(Number(process.hrtime.bigint() - start) / 1e9 < 20);
});
