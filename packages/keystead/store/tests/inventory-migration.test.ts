import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { sqliteDialect } from '../dialect.ts';
import { readOnly } from '../index.ts';
import { migrate } from '../migrate.ts';
import { MIGRATIONS } from '../migrations.ts';
import { certificateRow, insertWithKey, StoreBed } from './bed.ts';

/** A database as the version before the inventory left it. */
function older(bed: StoreBed): void {
  mkdirSync(dirname(bed.path), { recursive: true });
  const database = new DatabaseSync(bed.path);
  database.exec(`pragma application_id = ${0x4b_73_74_64}`);
  database.exec('pragma journal_mode = wal');
  migrate(database, sqliteDialect(), bed.clock, MIGRATIONS.slice(0, 1));
  database.exec("insert into meta (key, value) values ('kept', 'yes')");
  database.close();
}

test('a database from before the inventory gets its tables and keeps what it had', async (t) => {
  const bed = new StoreBed();
  t.after(() => bed.remove());
  older(bed);
  assert.throws(() => readOnly(bed.path, () => 0), { code: 'store.outdated' });
  await bed.store.commit((tx) => insertWithKey(tx, certificateRow(), 'system:a.example'));
  assert.equal(
    bed.store.read((reader) => reader.meta('kept')),
    'yes',
  );
  assert.deepEqual(
    bed.store.read((reader) => reader.keys('', 10)),
    [],
  );
  // While the service has it open, another process reads it.
  assert.equal(
    readOnly(bed.path, (reader) => reader.serviceKeys({ subject: '', issuedAt: 0, serial: '' as never }, 9).length),
    1,
  );
});

test('the keys of people and servers are paged by an index, and a device touches none of it', async (t) => {
  const bed = new StoreBed();
  t.after(() => bed.remove());
  await bed.store.commit((tx) => {
    for (let n = 0; n < 30; n += 1)
      insertWithKey(tx, certificateRow({ subject: `CN=${n % 3}`, issuedAt: n }), 'system:a');
  });
  const seen: string[] = [];
  for (let after = { subject: '', issuedAt: 0, serial: '' as never }; ; ) {
    const page = bed.store.read((reader) => reader.serviceKeys(after, 7));
    seen.push(...page.map(({ serial }) => serial));
    const last = page.at(-1);
    if (last === undefined) break;
    after = { subject: last.subject, issuedAt: last.issuedAt, serial: last.serial as never };
  }
  assert.equal(new Set(seen).size, 30);
  assert.equal(seen.length, 30);
  await bed.close();
  const database = new DatabaseSync(bed.path);
  const plan = (sql: string) => JSON.stringify(database.prepare(`explain query plan ${sql}`).all());
  const sorted = 'select serial from certificate where device_id is null order by subject, issued_at, serial';
  assert.match(plan(sorted), /certificate_of_service/);
  const [entries] = database.prepare("select sql from sqlite_schema where name = 'certificate_of_service'").all();
  assert.match(String(entries?.sql), /where device_id is null/);
  database.close();
});
