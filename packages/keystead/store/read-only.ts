import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { KeysteadError } from '@keystead/core/errors';
import { sqliteDialect } from './dialect.ts';
import { MIGRATIONS } from './migrations.ts';
import { compileQueries } from './queries.ts';
import { Reader } from './reader.ts';
import { mapStoreError } from './sqlite-errors.ts';
import { prepareAll } from './statement.ts';

/**
 * What `work` finds in one snapshot of a database that nobody writes, or another process does. Nothing is created,
 * repaired or migrated.
 * @throws KeysteadError `config.missing` when there is no file; `store.newer` when it is of a later version than this
 *   program, `store.outdated` when of an earlier one; `store.corrupt`, `store.locked`, `store.failed`.
 */
export function readOnly<T>(path: string, work: (reader: Reader) => T): T {
  if (!existsSync(path)) throw new KeysteadError('config.missing', { field: path });
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: 2_000 });
    database.exec('begin');
    const at = Number(database.prepare('select max(version) as version from migration').get()?.version);
    const latest = MIGRATIONS.at(-1)?.version ?? 0;
    if (at !== latest) {
      const seen = `version ${at}, this program knows ${latest}`;
      throw new KeysteadError(at > latest ? 'store.newer' : 'store.outdated', { field: 'migration', seen });
    }
    return work(new Reader(prepareAll(database, compileQueries(sqliteDialect()))));
  } catch (error) {
    throw mapStoreError(error);
  } finally {
    database?.close();
  }
}
