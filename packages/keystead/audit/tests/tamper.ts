import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { canonicalJson } from '@keystead/core/bytes';
import { Frontier, leafHash, TileBuilder } from '@keystead/core/log';
import { type AuditEntry, parseEntry } from '../index.ts';
import type { World } from './world.ts';

/** What an attacker can do who owns the database and the log's directory, and has no key. */

/** The entries as they were signed. */
export const entriesOf = (world: World): Uint8Array[] => world.database.rows.map(({ bytes }) => bytes);

/** An entry with some members changed, canonical again. */
export function changed(bytes: Uint8Array | undefined, change: Partial<AuditEntry>): Uint8Array {
  return Buffer.from(canonicalJson({ ...parseEntry(bytes ?? new Uint8Array()), ...change }));
}

/** Gives each entry the number of its place, as a careful attacker would. */
export const renumbered = (entries: readonly Uint8Array[]): Uint8Array[] =>
  entries.map((one, seq) => changed(one, { seq }));

/** Writes bundles, and tiles too when `tiles` says so, for a list of entries in place of the true ones. */
export function rewrite(world: World, entries: readonly Uint8Array[], tiles: boolean): void {
  const builder = new TileBuilder();
  for (const entry of entries) builder.append(entry);
  const files = [...builder.takeFull(), ...builder.takePartial()].filter(
    ({ path }) => tiles || path.startsWith('tile/entries/'),
  );
  if (tiles) rmSync(join(world.dir, 'tile'), { recursive: true });
  else rmSync(join(world.dir, 'tile/entries'), { recursive: true });
  for (const { path, bytes } of files) {
    mkdirSync(dirname(join(world.dir, path)), { recursive: true });
    writeFileSync(join(world.dir, path), bytes);
  }
}

/** Leaves only the last of the archived checkpoints. */
export function thinArchive(world: World): void {
  const path = join(world.dir, 'checkpoints');
  writeFileSync(path, `${readFileSync(join(world.dir, 'checkpoint'), 'utf8')}\n`);
}

export function frontierOf(entries: readonly Uint8Array[]): Frontier {
  const frontier = new Frontier();
  for (const entry of entries) frontier.append(leafHash(entry));
  return frontier;
}
