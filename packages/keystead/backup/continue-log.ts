import {
  closeSync,
  copyFileSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sameBytes } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { HASH_BYTES, leafHash, openCheckpoint, TILE_WIDTH } from '@keystead/core/log';
import { parseEntry, verifyLogFiles } from '../audit/index.ts';
import { bundlesOf } from '../audit/log-reader.ts';
import { durableWrite } from '../files/durable.ts';
import type { Layout } from '../files/layout.ts';
import { openStore, type Store } from '../store/index.ts';
import { checkpointKeys, logKeys } from '../verify/log-keys.ts';

const PAGE = TILE_WIDTH * 32;

/**
 * Continues the log of an unpacked state from a newer copy of its published files: entries go into the records, their
 * hashes to keyd's leaves, and its newest checkpoint becomes keyd's. So the restored keyd signs on where the lost one
 * stopped, and no second history begins. What the entries tell of is not done again: the records stay those of the
 * backup. A copy that is no longer than the backup changes nothing.
 * @throws KeysteadError `backup.log-differs` when the copy is not proven, or is not a continuation of this log.
 */
export async function continueLog(layout: Layout, from: string, clock: Clock): Promise<void> {
  // Where the copy is still written to: the archive first, so that it never is ahead of the checkpoint.
  const archive = join(layout.log, '.checkpoints.newer');
  copyFileSync(join(from, 'checkpoints'), archive);
  try {
    if (await continueFrom(layout, from, clock)) renameSync(archive, join(layout.log, 'checkpoints'));
  } finally {
    rmSync(archive, { force: true });
  }
}

/** @returns whether the copy was newer. */
async function continueFrom(layout: Layout, from: string, clock: Clock): Promise<boolean> {
  const keys = checkpointKeys(layout.trust);
  const head = openCheckpoint(readFileSync(join(from, 'checkpoint'), 'utf8'), keys);
  const own = openCheckpoint(readFileSync(join(layout.keyd, 'checkpoint'), 'utf8'), keys);
  if (head.size === own.size && !sameBytes(head.root, own.root)) {
    throw new KeysteadError('backup.log-differs', { field: from, seen: `another root of ${own.size} entries` });
  }
  if (head.size <= own.size) return false;
  const report = await verifyLogFiles({ dir: from, vkeys: logKeys(layout), otherCheckpoint: own.note });
  if (report.verdict !== 'proven') {
    throw new KeysteadError('backup.log-differs', {
      field: from,
      seen: report.firstBad?.why ?? report.findings[0]?.detail ?? 'not proven',
    });
  }
  const store = openStore({ path: layout.database, clock });
  const leaves = openSync(join(layout.keyd, 'leaves'), 'r+');
  try {
    for (let at = 0; at < head.size; at += PAGE)
      await takeOver(from, at, Math.min(PAGE, head.size - at), store, leaves);
    fsyncSync(leaves);
  } finally {
    closeSync(leaves);
    await store.close();
  }
  durableWrite(join(layout.keyd, 'checkpoint'), head.note, 0o600);
  return true;
}

async function takeOver(dir: string, at: number, count: number, store: Store, leaves: number): Promise<void> {
  const bundles = bundlesOf((path) => readFile(join(dir, path)).catch(() => undefined));
  const entries: Uint8Array[] = [];
  for (let bundle = at / TILE_WIDTH; entries.length < count; bundle += 1) {
    entries.push(...(await bundles(bundle, Math.min(TILE_WIDTH, count - entries.length))));
  }
  const hashes = entries.slice(0, count).map((entry) => leafHash(entry));
  await store.commit((tx) => {
    const known = tx.auditEntries(at, count);
    for (const [index, leaf] of hashes.entries()) {
      const row = known[index];
      const bytes = entries[index] ?? new Uint8Array();
      if (row === undefined) {
        tx.insertAudit({ seq: at + index, time: Date.parse(parseEntry(bytes).time), leafHash: leaf, bytes });
      } else if (!sameBytes(row.leafHash, leaf)) {
        throw new KeysteadError('backup.log-differs', { field: `entry ${at + index}`, seen: 'another in the records' });
      }
    }
  });
  extend(leaves, at, hashes);
}

/** Writes leaves that are not there; those that are must be the same. */
function extend(file: number, at: number, hashes: readonly Uint8Array[]): void {
  const held = Buffer.alloc(hashes.length * HASH_BYTES);
  const count = readSync(file, held, 0, held.length, at * HASH_BYTES);
  const wanted = Buffer.concat(hashes);
  if (!sameBytes(held.subarray(0, count), wanted.subarray(0, count))) {
    throw new KeysteadError('backup.log-differs', { field: 'leaves', seen: `others from entry ${at} on` });
  }
  for (let done = count; done < wanted.length; ) {
    done += writeSync(file, wanted, done, wanted.length - done, at * HASH_BYTES + done);
  }
}
