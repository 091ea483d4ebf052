import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Clock } from '@keystead/core/clock';
import { KeysteadError } from '@keystead/core/errors';
import { sqliteDialect } from './dialect.ts';
import { migrate } from './migrate.ts';
import { compileQueries } from './queries.ts';
import { mapStoreError } from './sqlite-errors.ts';
import { type LockWait, Store } from './store.ts';

/** 'Kstd' in the file's header, so that `file` and a careful reader know what it is. */
const APPLICATION_ID = 0x4b_73_74_64;
/** Up to this size every page and every index is compared at start; above it, the pages alone. */
const FULL_CHECK_BYTES = 256 * 1024 * 1024;

export interface StoreOptions {
  /** The database file; it and its directory are created (0600, 0700) when missing. */
  readonly path: string;
  readonly clock: Clock;
  /** How long to wait for another process's lock: 100 times 20 ms unless told. */
  readonly lockWait?: LockWait;
}

/**
 * Opens the database, checks that it is whole, and brings its schema up to date.
 * @throws KeysteadError `store.corrupt` when it is damaged or is no database of Keystead's, `store.locked`,
 *   `store.disk-full`, `store.newer`, `store.failed`. The file is then as it was.
 */
export function openStore(options: StoreOptions): Store {
  const { path, clock, lockWait = { tries: 100, everyMs: 20 } } = options;
  const open: DatabaseSync[] = [];
  try {
    createPrivate(path);
    // A lock is waited for here, at start, where there is nothing else to do; afterwards never inside a call.
    const writer = new DatabaseSync(path, {
      timeout: lockWait.tries * lockWait.everyMs,
      enableForeignKeyConstraints: true,
    });
    open.push(writer);
    checkWhole(writer, statSync(path).size);
    requireSetting(writer, 'journal_mode', 'wal');
    requireSetting(writer, 'synchronous', 2);
    writer.exec('pragma trusted_schema = off');
    // Random keys touch many pages; a longer log writes each of them back less often.
    writer.exec('pragma wal_autocheckpoint = 32000');
    writer.exec('pragma cache_size = -65536');
    const dialect = sqliteDialect();
    migrate(writer, dialect, clock);
    writer.exec('pragma busy_timeout = 0');
    syncDirectory(dirname(path));
    const reader = new DatabaseSync(path, { readOnly: true, timeout: 0 });
    open.push(reader);
    return new Store({ writer, reader }, compileQueries(dialect), lockWait);
  } catch (error) {
    for (const database of open) database.close();
    throw mapStoreError(error);
  }
}

function createPrivate(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  try {
    closeSync(openSync(path, 'a', 0o600));
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    throw new KeysteadError(full ? 'store.disk-full' : 'store.failed', { field: path, seen: code, cause });
  }
}

/** The new file's name must be as durable as its content. */
function syncDirectory(directory: string): void {
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Sets a pragma and reads it back: some file systems have no write-ahead log, and SQLite would go on without. */
function requireSetting(database: DatabaseSync, name: string, value: string | number): void {
  database.exec(`pragma ${name} = ${value}`);
  const set = database.prepare(`pragma ${name}`).get()?.[name];
  if (set !== value) throw new KeysteadError('store.failed', { field: name, seen: String(set) });
}

function checkWhole(database: DatabaseSync, bytes: number): void {
  const known = Number(database.prepare('pragma application_id').get()?.application_id);
  const tables = Number(database.prepare('select count(*) as count from sqlite_schema').get()?.count);
  if (known !== APPLICATION_ID) {
    if (tables > 0)
      throw new KeysteadError('store.corrupt', { field: 'application_id', seen: 'a database of another program' });
    database.exec(`pragma application_id = ${APPLICATION_ID}`);
  }
  const check = bytes <= FULL_CHECK_BYTES ? 'integrity_check' : 'quick_check';
  const finding = database.prepare(`pragma ${check}(1)`).get()?.[check];
  if (finding !== 'ok') throw new KeysteadError('store.corrupt', { field: check, seen: String(finding) });
  const orphan = database.prepare('pragma foreign_key_check').get();
  if (orphan !== undefined) {
    throw new KeysteadError('store.corrupt', {
      field: String(orphan.table),
      seen: `row ${orphan.rowid} has no ${orphan.parent}`,
    });
  }
}
