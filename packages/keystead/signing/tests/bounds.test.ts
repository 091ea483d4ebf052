import assert from 'node:assert/strict';
import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { SigningSettingsSchema } from '../../files/signing-settings.ts';
import { SigningBed } from './bed.ts';
import { testImage } from './test-format.ts';

let bed: SigningBed;
beforeEach(() => {
  bed = new SigningBed();
  bed.settings = SigningSettingsSchema.parse({ openPerSubmitter: 3 });
  return bed.start();
});
afterEach(() => bed.remove());

const version = (n: number): string => `1.2.${n}`;
const imageOf = (n: number): Buffer => testImage({ product: 'pump', version: version(n), counter: 7 });
const submit = (n: number, more: Parameters<SigningBed['submit']>[1] = {}) =>
  bed.submit(imageOf(n), { id: `order-${n}`, version: version(n), ...more });
const kept = (): string[] => readdirSync(join(bed.folder, 'signing')).filter((name) => /^[0-9a-f]{64}$/.test(name));
/** As if it had been handed in so many days ago. */
const age = (sha256: string, days: number): void => {
  const at = new Date(bed.clock.now().getTime() - days * 86_400_000);
  utimesSync(bed.signing.files.path(sha256), at, at);
};
const sweep = async (): Promise<void> => {
  bed.clock.advance(3600);
  await bed.signing.tick();
};

test('one submitter has only so many requests open, and keeps nobody else out; what has ended makes room again', async () => {
  for (const n of [1, 2, 3]) await submit(n);
  await assert.rejects(submit(4), {
    code: 'signing.too-many-of-one',
    field: 'requests',
    seen: '3 of operator:rita are open',
  });
  assert.equal(bed.told().at(-1), 'signing.too-many-of-one');
  assert.equal((await submit(1)).state, 'draft', 'the same again is no more');
  const image = { sha256: await bed.keep(imageOf(5)) };
  const other = await bed.signing.submit(
    {
      ...{ id: 'order-5', product: 'pump', environment: 'production', target: 'mcu', version: version(5) },
      ...{ format: 'sshsig', image, documents: {}, reason: 'another job', rollback: false },
    },
    { actor: { kind: 'workload', id: 'ci' }, requestId: 'r-2' },
  );
  assert.equal(other.state, 'draft');
  await bed.signing.withdraw('order-1', bed.by('rita'));
  assert.equal((await submit(4)).state, 'draft');
});

test('an upload is in the log with who brought it, its hash and its size, before it is answered', async () => {
  const bytes = imageOf(1);
  const expected = await bed.keep(bytes);
  const by = { actor: { kind: 'workload' as const, id: 'ci' }, requestId: 'r-7' };
  await bed.signing.keep([bytes], { most: bytes.length, expected }, by);
  const entry = bed.entries().at(-1);
  assert.deepEqual(
    [entry?.type, entry?.actor, entry?.requestId, entry?.subject, entry?.detail],
    ['signing.uploaded', by.actor, 'r-7', { file: expected }, { bytes: bytes.length }],
  );
  const told = bed.told();
  await assert.rejects(bed.signing.keep([bytes], { most: 3, expected }, by), { code: 'signing.image-too-large' });
  assert.deepEqual(bed.told(), told);
});

test('a file that no request names is removed after its time and the log says so; what a request names stays, whatever became of it', async () => {
  const stray = await bed.keep(Buffer.from('nobody asked for it'));
  const young = await bed.keep(Buffer.from('handed in today'));
  const asked = await bed.keep(Buffer.from('somebody is about to ask'));
  const sbom = await bed.keep(
    Buffer.from(JSON.stringify({ bomFormat: 'CycloneDX', specVersion: '1.6', components: [] })),
  );
  const withdrawn = await submit(1, { documents: { sbom } });
  await bed.signing.withdraw('order-1', bed.by('rita'));
  await submit(2);
  for (const name of ['rita', 'anna', 'axel'] as const) await bed.add(bed.signing.show('order-2'), name);
  await bed.signing.settled();
  const { result, order } = bed.signing.show('order-2');
  assert.ok(result);
  const named = [sbom, withdrawn.order.image.sha256, order.image.sha256, result.sha256];
  for (const sha256 of [stray, asked, ...named]) age(sha256, 8);
  assert.equal(typeof bed.signing.sizeOf(asked), 'number', 'who looks for it begins its time again');
  await sweep();
  assert.deepEqual(kept().sort(), [young, asked, ...named].sort());
  const entry = bed.entries().at(-1);
  assert.deepEqual([entry?.type, entry?.detail], ['signing.files-removed', { files: 1, sha256: stray }]);
});

test('a removal is in the log before the file goes: where it cannot be told nothing goes, and what was told goes at the next sweep without a second entry', async () => {
  const strays = await Promise.all(Array.from({ length: 17 }, (_, at) => bed.keep(Buffer.from(`stray ${at}`))));
  for (const sha256 of strays) age(sha256, 8);
  const removals = () => bed.entries().filter(({ type }) => type === 'signing.files-removed');
  const { store } = bed;
  const commit = store.commit;
  store.commit = () => Promise.reject(new Error('the disk is full'));
  await assert.rejects(sweep(), /the disk is full/);
  assert.deepEqual([kept().sort(), removals().length], [strays.toSorted(), 0]);
  // Killed when the entry is durable and nothing is removed yet.
  store.commit = async (work) => {
    await commit.call(store, work);
    throw new Error('killed');
  };
  await assert.rejects(sweep(), /killed/);
  store.commit = commit;
  assert.equal(kept().length, 17);
  const told = removals().flatMap(({ detail }) => String(detail?.sha256).split(', '));
  assert.deepEqual(told.sort(), strays.toSorted(), 'every one is named');
  // One of them came again meanwhile: it stays, and the log says that too.
  const [again = ''] = strays;
  age(again, 0);
  await bed.stop();
  await bed.start();
  assert.deepEqual(kept(), [again]);
  assert.equal(removals().length, 2);
  const entry = bed.entries().at(-1);
  assert.deepEqual([entry?.type, entry?.detail?.sha256], ['signing.files-kept', again]);
  const before = bed.entries().length;
  await sweep();
  assert.equal(bed.entries().length, before);
});

test('a file is kept while a request that names it is being read, though no record does yet', async () => {
  const sha256 = await bed.keep(imageOf(1));
  age(sha256, 8);
  // The request is under way when the sweep begins, and is recorded or not when that looks.
  const asked = bed.signing.submit(
    {
      ...{ id: 'order-1', product: 'pump', environment: 'production', target: 'mcu', version: version(1) },
      ...{ format: 'sshsig', image: { sha256 }, documents: {}, reason: 'at the last moment', rollback: false },
    },
    bed.by('rita'),
  );
  await sweep();
  assert.deepEqual(kept(), [sha256]);
  assert.equal((await asked).state, 'draft');
});

test('what was approved while keyd was away is carried out a few at a time, and all of it', async () => {
  bed.keyd.away = true;
  for (const n of [1, 2, 3, 4, 5, 6, 7, 8]) {
    const view = await submit(n);
    for (const name of ['rita', 'anna', 'axel'] as const) await bed.add(view, name);
  }
  await bed.signing.settled();
  bed.keyd.away = false;
  bed.keyd.most = 0;
  await bed.signing.tick();
  await bed.signing.settled();
  assert.ok(bed.keyd.most <= 4, `${bed.keyd.most} at once`);
  const states = bed.signing.list().requests.map(({ state }) => state);
  assert.deepEqual(states, Array(8).fill('signed'));
});
