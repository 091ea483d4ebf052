import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlobStore } from 'keystead/signing/blob-store.ts';
import type { Bench } from './bench.ts';
import { type Figure, figure, median } from './figure.ts';

const MIB = 1024 * 1024;
const ROUNDS = 3;

/** An image of 1 GiB as firmware signing hashes it before each use: a stream from the disk, against SHA-256 of memory. */
export async function signFigures(bench: Bench): Promise<Figure[]> {
  const mib = bench.quick ? 128 : 1024;
  const folder = mkdtempSync(join(tmpdir(), 'keystead-bench-sign-'));
  try {
    const store = new BlobStore(folder);
    store.open();
    const { sha256 } = await store.take(image(mib), { most: mib * MIB });
    await using kept = await store.read(sha256);
    bench.note(`firmware signing: an image of ${mib} MiB is hashed`);
    const streamed: number[] = [];
    const raw: number[] = [];
    let grown = 0;
    // Turn and turn about: what else the machine does falls on both.
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = process.memoryUsage().rss;
      streamed.push(await timed(() => kept.hash()));
      grown = Math.max(grown, process.memoryUsage().rss - before);
      raw.push(await timed(async () => hashed(mib)));
    }
    const rate = (seconds: readonly number[]) => mib / median(seconds);
    const what = `an image of ${mib} MiB from a file`;
    return [
      figure('sign-hash', rate(streamed), 'MiB/s', rate(raw), `${what}: raw SHA-256 of memory`),
      figure('sign-hash-memory', grown / MIB, 'MiB', mib, `${what}: how much memory grew, against its size`),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function* image(mib: number): Generator<Uint8Array> {
  const piece = new Uint8Array(MIB);
  for (let at = 0; at < mib; at += 1) yield piece.fill(at & 0xff);
}

function hashed(mib: number): string {
  const hash = createHash('sha256');
  const piece = new Uint8Array(MIB).fill(7);
  for (let at = 0; at < mib; at += 1) hash.update(piece);
  return hash.digest('hex');
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}
