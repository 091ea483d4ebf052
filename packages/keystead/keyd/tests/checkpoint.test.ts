import assert from 'node:assert/strict';
import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { sameBytes } from '@keystead/core/bytes';
import { Frontier, leafHash, openCheckpoint, parseVerifierKey } from '@keystead/core/log';
import { KeydBed } from './bed.ts';

let bed: KeydBed;
let size = 0;
const tree = new Frontier();
before(async () => {
  bed = await KeydBed.make();
});
after(() => bed.remove());

const leavesOf = (...texts: string[]): Uint8Array[] => texts.map((text) => leafHash(Buffer.from(text)));

/** Opens a note with both of keyd's keys. */
async function open(note: string) {
  const { vkey, cosignVkey } = await bed.client.trust();
  return openCheckpoint(note, { log: parseVerifierKey(vkey), cosigner: parseVerifierKey(cosignVkey) });
}

/** Appends and checks the note against a tree of our own. */
async function append(...texts: string[]): Promise<string> {
  const leaves = leavesOf(...texts);
  const { checkpoint, size: now } = await bed.client.signCheckpoint({ size, leaves });
  for (const leaf of leaves) tree.append(leaf);
  size += leaves.length;
  assert.equal(now, size);
  const head = await open(checkpoint);
  assert.equal(head.size, size);
  assert.ok(sameBytes(head.root, tree.root()));
  assert.equal(head.timestamp, Math.floor(bed.clock.now().getTime() / 1000));
  return checkpoint;
}

test('leaves go in at the end, and each note is signed by the log and dated by keyd', async () => {
  await append('a');
  await append('b', 'c', 'd');
  bed.clock.advance(10);
  await append();
  const { log } = await bed.client.status();
  assert.equal(log.size, 4);
  assert.equal(readFileSync(join(bed.dir, 'checkpoint'), 'utf8'), log.checkpoint);
});

test('the same request once more gives the same note: its answer was lost', async () => {
  const leaves = leavesOf('e', 'f');
  const note = await append('e', 'f');
  bed.clock.advance(5);
  const again = await bed.client.signCheckpoint({ size: size - 2, leaves });
  assert.equal(again.checkpoint, note);
  assert.equal((await bed.client.status()).log.size, size);
});

test('a front end that is behind sends what was signed once more, and what comes after it is appended', async () => {
  const behind = await bed.client.signCheckpoint({ size: 4, leaves: leavesOf('e') });
  assert.deepEqual([behind.size, (await open(behind.checkpoint)).size], [6, 6]);
  const beyond = await bed.client.signCheckpoint({ size: 4, leaves: leavesOf('e', 'f', 'f2') });
  tree.append(leavesOf('f2')[0] as Uint8Array);
  size += 1;
  const head = await open(beyond.checkpoint);
  assert.equal(head.size, 7);
  assert.ok(sameBytes(head.root, tree.root()));
});

test('TEST-KEY-13 a compromised front end cannot have a second history signed: any other size is refused and nothing changes', async () => {
  const mismatch = { code: 'log.size-mismatch', remedy: `go on from size ${size}` };
  const other: [number, Uint8Array[]][] = [
    [0, []],
    [0, leavesOf('x')],
    [size - 2, leavesOf('x')],
    [size - 2, leavesOf('f', 'x')],
    [size - 2, leavesOf('f2', 'f')],
    [size - 2, leavesOf('f', 'x', 'g')],
    [size - 3, leavesOf('f', 'f2', 'g')],
    [size - 1, leavesOf('x')],
    [size + 1, leavesOf('x')],
    [size + 1, []],
  ];
  for (const [at, leaves] of other) await assert.rejects(bed.client.signCheckpoint({ size: at, leaves }), mismatch);
  await assert.rejects(bed.client.signCheckpoint({ size, leaves: [new Uint8Array(31)] }), {
    code: 'request.malformed',
  });
  assert.equal((await bed.client.status()).log.size, size);
  await append('g');
});

test('of two that append at the same moment one is told the size', async () => {
  const clients = [await bed.connect(), await bed.connect()];
  const results = await Promise.allSettled(
    clients.map((client, i) => client.signCheckpoint({ size, leaves: leavesOf(`rival ${i}`) })),
  );
  const winner = results.findIndex((result) => result.status === 'fulfilled');
  assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
  tree.append(leavesOf(`rival ${winner}`)[0] as Uint8Array);
  size += 1;
  await append('after');
});

test('after a restart it goes on where it was; leaves that were never signed are not there', async () => {
  await bed.stop();
  appendFileSync(join(bed.dir, 'leaves'), Buffer.alloc(77, 1));
  await bed.start();
  assert.equal(statSync(join(bed.dir, 'leaves')).size, size * 32);
  assert.equal((await bed.client.status()).log.size, size);
  await append('h');
});

test('keyd does not start on leaves that are not those that it signed', async () => {
  await bed.stop();
  const path = join(bed.dir, 'leaves');
  const whole = readFileSync(path);
  const changed = Buffer.from(whole);
  changed.writeUInt8(changed.readUInt8(40) ^ 1, 40);
  writeFileSync(path, changed);
  await assert.rejects(bed.start(), { code: 'keyd.journal-damaged' });
  truncateSync(path, whole.length - 32);
  await assert.rejects(bed.start(), { code: 'keyd.journal-damaged' });
  writeFileSync(path, whole);
  const note = readFileSync(join(bed.dir, 'checkpoint'), 'utf8');
  writeFileSync(join(bed.dir, 'checkpoint'), note.replace(/\n\d+\n/, '\n1\n'));
  await assert.rejects(bed.start(), { code: 'note.signature-invalid' });
  writeFileSync(join(bed.dir, 'checkpoint'), note);
  await bed.start();
  await append('i');
});

test('time in notes does not go back, also across a restart', async () => {
  await append('j');
  bed.clock.advance(-10);
  await assert.rejects(bed.client.signCheckpoint({ size, leaves: leavesOf('k') }), { code: 'clock.went-back' });
  await bed.restart();
  await assert.rejects(bed.client.signCheckpoint({ size, leaves: leavesOf('k') }), { code: 'clock.went-back' });
  bed.clock.advance(10);
  await append('k');
});
