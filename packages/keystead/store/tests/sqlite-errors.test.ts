import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { KeysteadError } from '@keystead/core/errors';
import { damageOf, mapStoreError } from '../sqlite-errors.ts';

const sqliteError = (errcode: number): Error => Object.assign(new Error('disk I/O error'), { errcode });

/** Result codes as sqlite.org/rescode.html lists them. */
const CASES = [
  { name: 'SQLITE_BUSY', code: 5, damage: 'busy', mapped: 'store.locked' },
  { name: 'SQLITE_BUSY_SNAPSHOT', code: 517, damage: 'busy', mapped: 'store.locked' },
  { name: 'SQLITE_FULL', code: 13, damage: 'transaction', mapped: 'store.disk-full' },
  { name: 'SQLITE_IOERR_SHMSIZE', code: 4874, damage: 'transaction', mapped: 'store.disk-full' },
  { name: 'SQLITE_IOERR_FSYNC', code: 1034, damage: 'store', mapped: 'store.failed' },
  { name: 'SQLITE_IOERR_WRITE', code: 778, damage: 'store', mapped: 'store.failed' },
  { name: 'SQLITE_READONLY', code: 8, damage: 'transaction', mapped: 'store.failed' },
  { name: 'SQLITE_CORRUPT_INDEX', code: 779, damage: 'store', mapped: 'store.corrupt' },
  { name: 'SQLITE_NOTADB', code: 26, damage: 'store', mapped: 'store.corrupt' },
] as const;

for (const { name, code, damage, mapped } of CASES) {
  test(`${name} is ${mapped} and costs the ${damage}`, () => {
    const thrown = sqliteError(code);
    assert.equal(damageOf(thrown), damage);
    const error = mapStoreError(thrown);
    assert.ok(error instanceof KeysteadError);
    assert.equal(error.code, mapped);
    assert.equal(error.kind, 'unavailable');
    assert.equal(error.cause, thrown);
  });
}

test('a broken constraint costs only its statement, and what is not of SQLite stays as it is', () => {
  const database = new DatabaseSync(':memory:');
  database.exec('create table spki_history (spki_sha256 text primary key) strict');
  database.exec("insert into spki_history values ('a')");
  let thrown: unknown;
  try {
    database.exec("insert into spki_history values ('a')");
  } catch (error) {
    thrown = error;
  }
  database.close();
  assert.equal(damageOf(thrown), 'statement');
  const mapped = mapStoreError(thrown);
  assert.ok(mapped instanceof KeysteadError && mapped.code === 'key.already-used');
  const other = new TypeError('other');
  assert.equal(damageOf(other), 'statement');
  assert.equal(mapStoreError(other), other);
});
