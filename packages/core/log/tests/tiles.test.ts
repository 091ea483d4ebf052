import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toHex } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import {
  type BundleReader,
  decodeBundle,
  decodeTile,
  encodeBundle,
  Frontier,
  inclusionProof,
  leafHash,
  parseTilePath,
  TileBuilder,
  type TileReader,
  tileHashReader,
  tilePath,
  tileWidth,
  verifyInclusion,
} from '@keystead/core/log';
import fc from 'fast-check';
import { naiveRoot } from './naive-tree.ts';

test('tile paths are those of C2SP tlog-tiles', () => {
  assert.equal(tilePath(0, 1234067), 'tile/0/x001/x234/067');
  assert.equal(tilePath(0, 0), 'tile/0/000');
  assert.equal(tilePath('entries', 1000, 7), 'tile/entries/x001/000.p/7');
  assert.equal(tilePath(63, 999, 255), 'tile/63/999.p/255');
});

test('a path reads back as its tile, and only the one spelling is a tile', () => {
  const level = fc.oneof(fc.integer({ min: 0, max: 63 }), fc.constant('entries' as const));
  fc.assert(
    fc.property(level, fc.maxSafeNat(), fc.integer({ min: 1, max: 256 }), (level, index, width) => {
      assert.deepEqual(parseTilePath(tilePath(level, index, width)), { level, index, width });
    }),
  );
  const none = [
    'tile/0/x000/001',
    'tile/00/000',
    'tile/64/000',
    'tile/0/000.p/256',
    'tile/0/000.p/0',
    'tile/0/000.p/01',
  ];
  none.push('tile/0/00', 'tile/0/0000', 'tile/0/001/002', 'tile/0/x001', 'tile/data/000', '/tile/0/000', 'tile/0/000/');
  none.push(
    'tile/0/../../etc/passwd',
    'tile/0/000\n',
    'tile/0/000.p/-1',
    'tile/0/\u0660\u0660\u0660',
    'checkpoint',
    '',
  );
  none.push(`tile/0/${'x999/'.repeat(20)}999`);
  for (const path of none) assert.equal(parseTilePath(path), undefined, path);
});

test('any text is a tile path only when it is exactly the path of that tile', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^tile\/[0-9e]{1,3}\/[x0-9./p]{0,20}$/)), (text) => {
      const tile = parseTilePath(text);
      if (tile !== undefined) assert.equal(tilePath(tile.level, tile.index, tile.width), text);
    }),
  );
});

test('a level, index or width that no tile has is refused', () => {
  for (const [level, index, width] of [
    [64, 0, 1],
    [-1, 0, 1],
    [0, -1, 1],
    [0, 0, 0],
    [0, 0, 257],
    [0, 0.5, 1],
  ] as const) {
    assert.throws(
      () => tilePath(level, index, width),
      (error) => error instanceof KeysteadError && error.code === 'log.out-of-range',
    );
  }
});

test('a log of 70,000 entries has the tiles that C2SP tlog-tiles counts', () => {
  const size = 70_000;
  assert.equal(tileWidth(0, 272, size), 256);
  assert.equal(tileWidth(0, 273, size), 112);
  assert.equal(tileWidth(0, 274, size), 0);
  assert.equal(tileWidth(1, 0, size), 256);
  assert.equal(tileWidth(1, 1, size), 17);
  assert.equal(tileWidth(2, 0, size), 1);
  assert.equal(tileWidth(3, 0, size), 0);
  assert.equal(tileWidth(1, 0, 256), 1);
});

test('a bundle holds its entries with a big-endian uint16 length before each', () => {
  const bundle = encodeBundle([Buffer.from('ab'), new Uint8Array(0), new Uint8Array(258)]);
  assert.equal(toHex(bundle.subarray(0, 8)), '0002616200000102');
  const { entries, garbage } = decodeBundle(bundle);
  assert.deepEqual(
    entries.map((entry) => entry.length),
    [2, 0, 258],
  );
  assert.equal(garbage, false);
});

test('an entry that a uint16 cannot count is refused', () => {
  assert.throws(
    () => encodeBundle([new Uint8Array(65_536)]),
    (error) => error instanceof KeysteadError && error.code === 'log.entry-too-large',
  );
  assert.equal(decodeBundle(encodeBundle([new Uint8Array(65_535)])).entries[0]?.length, 65_535);
});

test('any bytes decode to whole entries and a remainder, never to an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
      const { entries, garbage } = decodeBundle(bytes);
      const used = entries.reduce((sum, entry) => sum + 2 + entry.length, 0);
      assert.equal(garbage, used !== bytes.length);
      if (entries.length > 0)
        assert.deepEqual(Buffer.from(encodeBundle(entries)), Buffer.from(bytes.subarray(0, used)));
    }),
  );
});

test('a tile that is not 1 to 256 hashes is refused', () => {
  for (const length of [0, 31, 33, 257 * 32]) {
    assert.throws(
      () => decodeTile(new Uint8Array(length)),
      (error) => error instanceof KeysteadError && error.code === 'log.malformed',
    );
  }
});

/** A log's files in memory. */
class Files {
  readonly files = new Map<string, Uint8Array>();

  take(builder: TileBuilder): void {
    for (const { path, bytes } of [...builder.takeFull(), ...builder.takePartial()]) this.files.set(path, bytes);
  }

  #get(...paths: string[]): Uint8Array {
    for (const path of paths) {
      const file = this.files.get(path);
      if (file !== undefined) return file;
    }
    throw new Error(`no ${paths.join(' nor ')}`);
  }

  readonly tiles: TileReader = async (level, index, width) =>
    decodeTile(this.#get(tilePath(level, index, width), tilePath(level, index)));

  readonly bundles: BundleReader = async (index, width) =>
    decodeBundle(this.#get(tilePath('entries', index, width), tilePath('entries', index))).entries;
}

const entryOf = (index: number): Uint8Array => Buffer.from(`entry ${index}`);

test('tiles built in any number of steps, with the builder resumed between them, are those of one run', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }), async (steps) => {
      const stepped = new Files();
      const frontier = new Frontier();
      let size = 0;
      for (const step of steps) {
        const builder = await TileBuilder.resume(size, stepped.tiles, stepped.bundles);
        for (const end = size + step; size < end; size++) {
          frontier.append(builder.append(entryOf(size)));
        }
        stepped.take(builder);
        assert.deepEqual(builder.root(), frontier.root());
      }
      const straight = new Files();
      const builder = await TileBuilder.resume(0, straight.tiles, straight.bundles);
      for (let i = 0; i < size; i++) builder.append(entryOf(i));
      straight.take(builder);
      for (const [path, bytes] of straight.files) {
        assert.deepEqual(Buffer.from(stepped.files.get(path) ?? []), Buffer.from(bytes), path);
      }
    }),
    { numRuns: 40 },
  );
});

test('a log of 66,000 entries is proven from its tiles, three levels high', async () => {
  const size = 66_000;
  const log = new Files();
  const builder = new TileBuilder();
  const frontier = new Frontier();
  for (let i = 0; i < size; i++) frontier.append(builder.append(entryOf(i)));
  log.take(builder);
  const root = frontier.root();
  assert.ok(log.files.has('tile/2/000.p/1'));
  const reader = tileHashReader(size, log.tiles);
  for (const index of [0, 1, 255, 256, 65_535, 65_536, 65_999]) {
    const proof = await inclusionProof(index, size, reader);
    assert.ok(verifyInclusion(leafHash(entryOf(index)), index, size, proof, root));
  }
  const resumed = await TileBuilder.resume(size, log.tiles, log.bundles);
  assert.deepEqual(resumed.root(), root);
  assert.equal(resumed.takePartial().length, 0);
});

test('the root over the tiles of a small log is that of the naive tree', () => {
  const builder = new TileBuilder();
  const entries = Array.from({ length: 777 }, (_, i) => entryOf(i));
  for (const entry of entries) builder.append(entry);
  assert.deepEqual(builder.root(), naiveRoot(entries));
});

test('a tile narrower than the size demands is refused when the builder resumes', async () => {
  const log = new Files();
  const builder = new TileBuilder();
  for (let i = 0; i < 10; i++) builder.append(entryOf(i));
  log.take(builder);
  const malformed = (error: unknown): boolean => error instanceof KeysteadError && error.code === 'log.malformed';
  const narrow: TileReader = async (...args) => (await log.tiles(...args)).slice(0, 9);
  await assert.rejects(TileBuilder.resume(10, narrow, log.bundles), malformed);
  const short: BundleReader = async (...args) => (await log.bundles(...args)).slice(0, 9);
  await assert.rejects(TileBuilder.resume(10, log.tiles, short), malformed);
  await assert.rejects(async () => tileHashReader(10, narrow)(0, 9), malformed);
});
