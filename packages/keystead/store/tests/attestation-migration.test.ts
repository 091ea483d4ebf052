import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { sqliteDialect } from '../dialect.ts';
import { migrate } from '../migrate.ts';
import { MIGRATIONS } from '../migrations.ts';
import { StoreBed } from './bed.ts';

test('devices of a database from before attestation proved possession, and nothing more; no other origin can be written', (t) => {
  const bed = new StoreBed();
  t.after(() => bed.remove());
  mkdirSync(dirname(bed.path), { recursive: true });
  const database = new DatabaseSync(bed.path);
  t.after(() => database.close());
  const before = MIGRATIONS.filter(({ version }) => version < 6);
  migrate(database, sqliteDialect(), bed.clock, before);
  database.exec("insert into ticket values ('b1', '{}', 'ada', 'PUMP', 9, 0, 9, 'lin', 1)");
  database.exec("insert into device values ('KS-1', 'provisioned', 'PUMP', 'b1', x'01', null, 1, 1)");
  migrate(
    database,
    sqliteDialect(),
    bed.clock,
    MIGRATIONS.filter(({ version }) => version <= 6),
  );
  const { key_origin: origin } = database.prepare('select key_origin from device').get() ?? {};
  assert.equal(origin, 'proof-of-possession');
  database.exec("update device set key_origin = 'tpm2-attested'");
  assert.throws(() => database.exec("update device set key_origin = 'HSM'"), /CHECK/);
});
