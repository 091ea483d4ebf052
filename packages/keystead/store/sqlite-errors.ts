import { KeysteadError } from '@keystead/core/errors';

/** Primary result codes of SQLite (sqlite.org/rescode.html). */
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const CONSTRAINT = 19;
const NOTADB = 26;
/** Extended code: the shared-memory file of the write-ahead log could not grow. */
const IOERR_SHMSIZE = 4874;

/** The extended result code of an error that node:sqlite threw, or undefined for any other value. */
function resultCode(thrown: unknown): number | undefined {
  return thrown instanceof Error && 'errcode' in thrown && typeof thrown.errcode === 'number'
    ? thrown.errcode
    : undefined;
}

/** What an error means for the statements around it. */
export type Damage =
  /** Only this statement failed. */
  | 'statement'
  /** Somebody else holds the lock; the same thing may work later. */
  | 'busy'
  /** The transaction is lost; a later one may work. */
  | 'transaction'
  /** Nothing that is written from now on can be relied on until the database is opened anew. */
  | 'store';

/** How far the damage of a thrown value goes. Anything that is not SQLite's own is the statement's. */
export function damageOf(thrown: unknown): Damage {
  const code = resultCode(thrown);
  if (code === undefined) return 'statement';
  const primary = code & 0xff;
  if (primary === BUSY || primary === LOCKED) return 'busy';
  if (primary === CONSTRAINT) return 'statement';
  if (primary === FULL || code === IOERR_SHMSIZE || primary === CANTOPEN) return 'transaction';
  if (primary === IOERR || primary === CORRUPT || primary === NOTADB) return 'store';
  return 'transaction';
}

/**
 * An error of SQLite as Keystead's: `store.locked`, `store.disk-full`, `store.corrupt`, `store.failed`, and
 * `key.already-used` for the index that gives each key to one owner. Every other value comes back as it is.
 */
export function mapStoreError(thrown: unknown): unknown {
  const code = resultCode(thrown);
  if (code === undefined || !(thrown instanceof Error)) return thrown;
  const facts = { field: 'store', seen: `SQLite: ${thrown.message} (${code})`, cause: thrown };
  const primary = code & 0xff;
  if (primary === BUSY || primary === LOCKED) return new KeysteadError('store.locked', facts);
  if (primary === FULL || code === IOERR_SHMSIZE) return new KeysteadError('store.disk-full', facts);
  if (primary === CORRUPT || primary === NOTADB) return new KeysteadError('store.corrupt', facts);
  if (primary === IOERR || primary === CANTOPEN || primary === READONLY)
    return new KeysteadError('store.failed', facts);
  if (primary === CONSTRAINT && /spki/.test(thrown.message)) {
    return new KeysteadError('key.already-used', { field: 'subjectPublicKeyInfo', cause: thrown });
  }
  return thrown;
}
