import {
  closeSync,
  createReadStream,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import { sameBytes, toHex } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { requireMember, requireNoKey } from '@keystead/core/lifecycle';
import { type CheckpointKeys, Frontier, HASH_BYTES, openCheckpoint } from '@keystead/core/log';
import { AuditTable } from '../audit/index.ts';
import type { Layout } from '../files/layout.ts';
import { checkpointKeys } from '../verify/log-keys.ts';

/** One file of a backup: its name there, its size, and its bytes, which are read once. */
export interface Source {
  readonly path: string;
  readonly bytes: number;
  open(): AsyncIterable<Uint8Array>;
}

export interface Snapshot {
  readonly sources: readonly Source[];
  /** The newest checkpoint in it, a signed note; null when nothing was signed yet. */
  readonly checkpoint: string | null;
  /** Removes what the snapshot took on the disk. */
  release(): void;
}

const SNAPSHOT = /^\.backup-[0-9a-f]{16}\.db(?:-wal|-shm|-journal)?$/;
const CHUNK = 256 * 1024;
const LEAVES_READ = 8192;

/**
 * A state of the whole data directory that a restore can go on from, taken while everything runs. The order is what
 * makes it one: archive and published checkpoint, then keyd's checkpoint with its leaves (at least as far), then the
 * records (at least as far as what was signed), and last keyd's journal: a certificate that is in the journal and not
 * in the records is revoked at the next start, and a unit is rather counted twice than not. Tiles are not taken: they
 * follow from the entries, and the restore makes them again under the same signed root.
 *
 * Only the files of a list are taken (`requireMember`). REQ-KEY-BAK-01, REQ-KEY-BAK-02
 * @throws KeysteadError `backup.state-inconsistent` when records, leaves and checkpoint are not of one history,
 *   `backup.signing-key-forbidden`, `note.*`.
 */
export async function takeSnapshot(layout: Layout): Promise<Snapshot> {
  const small = smallFiles(layout);
  const archive = lengthOf(join(layout.log, 'checkpoints'));
  const published = readIfThere(join(layout.log, 'checkpoint'));
  const signed = readIfThere(join(layout.keyd, 'checkpoint'));
  const keys = checkpointKeys(layout.trust);
  const head = signed === undefined ? undefined : openCheckpoint(signed.toString('utf8'), keys);
  const size = head?.size ?? 0;
  const database = await copyDatabase(layout.database);
  try {
    await requireOneHistory(layout, database, signed, keys);
    const journal = join(layout.keyd, 'journal');
    const lines = wholeLines(journal);
    const injected = lengthOf(join(layout.keyd, 'injected'));
    const sources = [
      ...small,
      ...(published === undefined ? [] : [fromBytes('log/checkpoint', published)]),
      ...(archive === 0 ? [] : [fromFile('log/checkpoints', join(layout.log, 'checkpoints'), archive)]),
      ...(signed === undefined ? [] : [fromBytes('keyd/checkpoint', signed)]),
      ...(size === 0 ? [] : [fromFile('keyd/leaves', join(layout.keyd, 'leaves'), size * HASH_BYTES)]),
      fromFile('store/keystead.db', database, lengthOf(database)),
      fromFile('keyd/journal', journal, lines),
      // After the journal, which names them: what it names is there by then.
      ...directory('keyd/policies', join(layout.keyd, 'policies')),
      ...directory('keyd/firmware', join(layout.keyd, 'firmware')),
      ...directory('keyd/factories', join(layout.keyd, 'factories')),
      ...(injected === 0 ? [] : [fromFile('keyd/injected', join(layout.keyd, 'injected'), injected)]),
    ];
    for (const { path } of sources) requireMember(path);
    return { sources, checkpoint: signed?.toString('utf8') ?? null, release: () => removeSnapshots(layout.database) };
  } catch (error) {
    removeSnapshots(layout.database);
    throw error;
  }
}

/** Files that are replaced as a whole, each with its bytes; a private key that was put among them is found. */
function smallFiles(layout: Layout): Source[] {
  return [
    ...sourceOf('config.json', layout.config),
    ...sourceOf('keyd/ceremony.json', join(layout.keyd, 'ceremony.json')),
    ...ceremonies(layout),
    ...directory('trust', layout.trust),
    ...directory('ceremony', layout.ceremony),
    ...directory('crl', layout.crl, isKeptCrl),
  ];
}

/** keyd's copies of the ceremonies after the founding. */
function ceremonies({ keyd }: Layout): Source[] {
  const dir = join(keyd, 'ceremonies');
  const numbers = existsSync(dir) ? readdirSync(dir).filter((name) => /^[1-9][0-9]{0,3}$/.test(name)) : [];
  return numbers.flatMap((number) => directory(`keyd/ceremonies/${number}`, join(dir, number)));
}

/** The files of a directory; a name with a dot in front is a write under way. */
function directory(name: string, dir: string, isKept: (path: string) => boolean = () => true): Source[] {
  if (!existsSync(dir)) return [];
  const files = readdirSync(dir, { withFileTypes: true }).filter((entry) => entry.isFile());
  return files
    .filter((entry) => !entry.name.startsWith('.') && isKept(join(dir, entry.name)))
    .flatMap((entry) => sourceOf(`${name}/${entry.name}`, join(dir, entry.name)));
}

/** Beyond that a list is left out: a restore has every list of keyd's made anew, under higher numbers. */
const MOST_CRL_BYTES = 1024 * 1024;

/** CRLs of the roots, which only a ceremony makes, and lists of all where they are short; no partitions and deltas. */
function isKeptCrl(path: string): boolean {
  const name = basename(path);
  if (/-of-\d+|-delta/.test(name)) return false;
  return /^(?:signing-)?root\b/.test(name) || statSync(path).size <= MOST_CRL_BYTES;
}

function sourceOf(name: string, path: string): Source[] {
  const bytes = readIfThere(path);
  if (bytes === undefined) return [];
  requireMember(name);
  requireNoKey(name, bytes);
  return [fromBytes(name, bytes)];
}

/** SQLite's online backup in one step: a reader of the write-ahead log, which no writer waits for. */
async function copyDatabase(path: string): Promise<string> {
  removeSnapshots(path);
  const copy = join(dirname(path), `.backup-${toHex(randomBytes(8))}.db`);
  const database = new DatabaseSync(path, { readOnly: true, timeout: 10_000 });
  try {
    // As private as the database: SQLite gives a new file the umask's mode.
    closeSync(openSync(copy, 'wx', 0o600));
    await backup(database, copy, { rate: 0x7fffffff });
    return copy;
  } catch (error) {
    removeSnapshots(path);
    throw error;
  } finally {
    database.close();
  }
}

/** What a killed backup has left, too. One backup at a time is made of a directory. */
function removeSnapshots(database: string): void {
  const dir = dirname(database);
  for (const name of readdirSync(dir)) if (SNAPSHOT.test(name)) rmSync(join(dir, name), { force: true });
}

/** The entries in the records are the leaves that keyd signed, and lead to the signed root. */
async function requireOneHistory(
  layout: Layout,
  database: string,
  note: Uint8Array | undefined,
  keys: CheckpointKeys,
): Promise<void> {
  if (note === undefined) return;
  const head = openCheckpoint(Buffer.from(note).toString('utf8'), keys);
  const differs = (seen: string): KeysteadError =>
    new KeysteadError('backup.state-inconsistent', { field: 'log', seen });
  const records = new AuditTable(database);
  const leaves = openSync(join(layout.keyd, 'leaves'), 'r');
  try {
    const frontier = new Frontier();
    const chunk = Buffer.alloc(LEAVES_READ * HASH_BYTES);
    while (frontier.size < head.size) {
      const from = frontier.size;
      const wanted = Math.min(LEAVES_READ, head.size - from);
      const rows = records.auditEntries(from, wanted);
      const count = readSync(leaves, chunk, 0, wanted * HASH_BYTES, from * HASH_BYTES);
      if (count !== wanted * HASH_BYTES) throw differs(`keyd's leaves end at entry ${from + Math.floor(count / 32)}`);
      for (let at = 0; at < wanted; at += 1) {
        const leaf = Uint8Array.from(chunk.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES));
        const row = rows[at];
        if (row?.seq !== from + at || !sameBytes(row.leafHash, leaf)) throw differs(`entry ${from + at}`);
        frontier.append(leaf);
      }
    }
    if (!sameBytes(frontier.root(), head.root)) throw differs('leaves with another root than the signed one');
  } finally {
    closeSync(leaves);
    records.close();
  }
}

const fromBytes = (path: string, bytes: Uint8Array): Source => ({
  path,
  bytes: bytes.length,
  async *open() {
    yield bytes;
  },
});

/** The first `bytes` of a file that only grows. */
const fromFile = (path: string, file: string, bytes: number): Source => ({
  path,
  bytes,
  async *open() {
    if (bytes > 0) yield* createReadStream(file, { start: 0, end: bytes - 1, highWaterMark: CHUNK });
  },
});

/** The length of a file up to the end of its last whole line. */
function wholeLines(path: string): number {
  if (!existsSync(path)) return 0;
  const file = openSync(path, 'r');
  try {
    const chunk = Buffer.alloc(CHUNK);
    for (let end = lengthOf(path); end > 0; ) {
      const start = Math.max(0, end - CHUNK);
      const count = readSync(file, chunk, 0, end - start, start);
      const last = chunk.subarray(0, count).lastIndexOf(0x0a);
      if (last >= 0) return start + last + 1;
      end = start;
    }
    return 0;
  } finally {
    closeSync(file);
  }
}

const lengthOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

function readIfThere(path: string): Buffer | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
}
